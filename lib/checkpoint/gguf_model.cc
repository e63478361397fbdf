#include "checkpoint/gguf_model.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"

namespace mythos {
namespace {

// LLAMA_MAX_LAYERS of llama.cpp.
constexpr int64_t kMaxLayers = 512;

// Names without their last part, which both sides share.
struct GgufName {
  std::string_view published, gguf;
};
constexpr GgufName kModelNames[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};
constexpr std::string_view kPublishedLayer = "model.layers.", kGgufLayer = "blk.";
constexpr GgufName kLayerNames[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

// Those names by each other, for a model of so many layers.
std::vector<std::pair<std::string, std::string>> name_pairs(int64_t layers) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const GgufName& name : kModelNames) pairs.emplace_back(name.published, name.gguf);
  for (int64_t i = 0; i < layers; ++i) {
    const std::string number = std::to_string(i) + ".";
    for (const GgufName& name : kLayerNames) {
      pairs.emplace_back(std::string(kPublishedLayer) + number + std::string(name.published),
                         std::string(kGgufLayer) + number + std::string(name.gguf));
    }
  }
  return pairs;
}

// The model's family, which llama.cpp calls its architecture.
std::string architecture_of(const Config& form) {
  nlohmann::ordered_json file;
  try {
    file = config_to_hf(form, "float32");
  } catch (const Error& error) {
    fail(error.kind(), "--format gguf: llama.cpp cannot run this model: " + error.message(),
         error.advice());
  }
  const auto type = file.find("model_type");
  const std::string family =
      type != file.end() ? type->get<std::string>() : file.at("_class_name").get<std::string>();
  if (family != "llama" && family != "qwen2" && family != "qwen3" && family != "nanbeige") {
    fail(ErrorKind::usage,
         "--format gguf: this model is of the family " + family +
             ", and llama.cpp has no architecture that computes it; it runs llama, qwen2, qwen3 "
             "and nanbeige.",
         "Use --format hf or safetensors.");
  }
  const ModelConfig& c = form.model;
  if (family == "qwen2" && c.n_heads * c.head_dim() != c.dim) {
    fail(
        ErrorKind::usage,
        strprintf("--format gguf: llama.cpp's qwen2 has heads of dim / n_heads channels (%d / %d); "
                  "these have %d.",
                  c.dim, c.n_heads, c.head_dim()),
        "Use --format hf or safetensors.");
  }
  const int64_t layers = form.model.core_layers * form.model.max_loop_iters;
  if (layers > kMaxLayers) {
    fail(ErrorKind::usage,
         strprintf("--format gguf: %d layers over %d loops are %d; llama.cpp "
                   "runs at most %d.",
                   form.model.core_layers, form.model.max_loop_iters, layers, kMaxLayers));
  }
  return family;
}

// Whether llama.cpp rotates adjacent channels (LLAMA_ROPE_TYPE_NORM) instead of halves (NEOX).
bool rotates_adjacent(const std::string& architecture) {
  return architecture == "llama" || architecture == "nanbeige";
}

bool is_rotated(std::string_view gguf) {
  return gguf.ends_with(".attn_q") || gguf.ends_with(".attn_k");
}

// Rows of each head: 0, d/2, 1, d/2+1, … where they were halves; and back. x [heads·d, …].
at::Tensor turned(const at::Tensor& x, int64_t d, bool to_adjacent) {
  const int64_t heads = x.size(0) / d;
  const at::Tensor split =
      to_adjacent ? x.reshape({heads, 2, d / 2, -1}) : x.reshape({heads, d / 2, 2, -1});
  return split.transpose(1, 2).reshape(x.sizes());
}

// Gives tensors the names of the other side, with the rows of queries and keys in its order.
TensorMap renamed(const ModelConfig& c, const TensorMap& tensors, bool adjacent, bool to_gguf) {
  std::map<std::string, std::pair<std::string, bool>> names;  // the other name, and if rows move
  for (const auto& [published, gguf] : name_pairs(c.core_layers)) {
    names[to_gguf ? published : gguf] = {to_gguf ? gguf : published, adjacent && is_rotated(gguf)};
  }
  TensorMap out;
  for (const auto& [name, tensor] : tensors) {
    const size_t dot = name.rfind('.');
    const auto found = dot == std::string::npos ? names.end() : names.find(name.substr(0, dot));
    if (found == names.end()) {
      fail(ErrorKind::internal, "no counterpart of tensor '" + escaped(name) + "' in llama.cpp");
    }
    out[found->second.first + name.substr(dot)] =
        found->second.second ? turned(tensor, c.head_dim(), to_gguf) : tensor;
  }
  return out;
}

// The key general.file_type: LLAMA_FTYPE_ALL_F32, MOSTLY_F16, MOSTLY_BF16.
uint32_t file_type(at::ScalarType dtype) {
  if (dtype == at::kHalf) return 1;
  return dtype == at::kBFloat16 ? 32 : 0;
}

GgufMetadata model_metadata(const ModelConfig& c, const std::string& arch, at::ScalarType dtype) {
  GgufMetadata out = {{"general.architecture", arch}, {"general.file_type", file_type(dtype)}};
  const auto number = [&](const char* key, int64_t value) {
    out.emplace_back(arch + key, static_cast<uint32_t>(value));
  };
  number(".vocab_size", c.vocab_size);
  number(".context_length", c.max_seq_len);
  number(".embedding_length", c.dim);
  number(".block_count", c.core_layers);
  number(".feed_forward_length", c.core_dense_ffn_dim());
  number(".attention.head_count", c.n_heads);
  number(".attention.head_count_kv", c.core_key_heads());
  number(".attention.key_length", c.head_dim());
  number(".attention.value_length", c.head_dim());
  number(".rope.dimension_count", c.head_dim());
  out.emplace_back(arch + ".rope.freq_base", static_cast<float>(c.rope_theta));
  out.emplace_back(arch + ".attention.layer_norm_rms_epsilon", static_cast<float>(c.norm_eps));
  if (arch == "nanbeige") {
    number(".num_loops", c.max_loop_iters);
    out.emplace_back(arch + ".skip_loop_final_norm", c.final_norm == FinalNorm::output);
  }
  return out;
}

void add_tokenizer_of(const LoadedCheckpoint& checkpoint, GgufMetadata& metadata) {
  if (!checkpoint.tokenizer) {
    log_warning(
        "the checkpoint carries no tokenizer: llama.cpp loads the file, but its programs that read "
        "or write text do not run it");
    metadata.emplace_back("tokenizer.ggml.model", "none");
    return;
  }
  // As mythos-generate(1) begins texts.
  const bool bos = checkpoint.documents && checkpoint.documents->bos != Share::none;
  add_gguf_tokenizer(*checkpoint.tokenizer, checkpoint.config.model.vocab_size, bos, metadata);
  const std::string chat = chat_template_of(checkpoint.model_files, checkpoint.path.string());
  if (!chat.empty()) metadata.emplace_back("tokenizer.chat_template", chat);
}

}  // namespace

Model gguf_form(const Config& config, const Model& model) {
  Config form = config;
  form.model = hf_form(config.model);
  architecture_of(form);
  TensorMap native;
  for (const auto& [name, tensor] : named_tensors(model.parameters)) native[name] = tensor.detach();
  Model out(form.model);
  out.parameters.load(in_hf_form(config.model, native), "the form of llama.cpp");
  return out;
}

void write_gguf_model(const fs::path& path, const LoadedCheckpoint& checkpoint, const Model& form,
                      at::ScalarType dtype) {
  Config config = checkpoint.config;
  config.model = form.config;
  const std::string architecture = architecture_of(config);
  GgufMetadata metadata = model_metadata(form.config, architecture, dtype);
  add_tokenizer_of(checkpoint, metadata);
  TensorMap native;
  for (const auto& [name, tensor] : named_tensors(form.parameters)) {
    native[name] = tensor.detach().to(tensor.dim() < 2 ? at::kFloat : dtype);
  }
  const TensorMap tensors = renamed(form.config, to_hf(form.config, native),
                                    rotates_adjacent(architecture), /*to_gguf=*/true);
  write_gguf(path, metadata, {tensors.begin(), tensors.end()});
}

std::unique_ptr<Model> read_gguf_model(const fs::path& path, const ModelConfig& form) {
  const GgufFile file = read_gguf(path);
  const auto architecture = file.metadata.find("general.architecture");
  if (architecture == file.metadata.end() ||
      !std::holds_alternative<std::string>(architecture->second)) {
    fail(ErrorKind::data, path.string() + ": general.architecture is missing.");
  }
  const bool adjacent = rotates_adjacent(std::get<std::string>(architecture->second));
  const TensorMap published = renamed(form, file.tensors, adjacent, /*to_gguf=*/false);
  auto model = std::make_unique<Model>(form);
  model->parameters.load(made(from_hf(form, published, path.string()).tensors), path.string());
  return model;
}

}  // namespace mythos
