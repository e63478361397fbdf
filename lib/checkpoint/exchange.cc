#include "checkpoint/exchange.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/strings.h"
#include "checkpoint/json_file.h"
#include "checkpoint/weight_files.h"
#include "text/export_tokenizer.h"

namespace mythos {
namespace {

constexpr std::string_view kModelSchema = "mythos.model/1";
// Metadata of every export: loaders of other projects look for the key "format".
const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};
constexpr const char* kDocuments = "mythos.documents";

ModelConfig native_config(nlohmann::json json, const fs::path& path) {
  if (json.is_object()) {
    const auto schema = json.find("schema");
    if (schema != json.end() && *schema != kModelSchema) {
      fail(ErrorKind::data, path.string() + ": schema " + escaped(schema->dump()) +
                                "; this version reads '" + std::string(kModelSchema) + "'.");
    }
    json.erase("schema");
  }
  return model_config_from_json(json, path.string());
}

Config read_config(ExchangeFormat format, const fs::path& path) {
  if (path.extension() == ".toml") {
    if (format == ExchangeFormat::safetensors) return load_config_file(path);
    fail(ErrorKind::usage,
         path.string() + ": the openmythos format's configuration is a .json file.");
  }
  Config config;
  const nlohmann::json json = read_json(path);
  config.model = format == ExchangeFormat::openmythos
                     ? model_config_from_openmythos(json, path.string())
                     : native_config(json, path);
  config.train.seq_len = std::min(config.train.seq_len, config.model.max_seq_len);
  return config;
}

// Refuses tensors of whole numbers, whose meaning a loader could only guess: they are quantized
// weights or no weights.
void check_types(const TensorMap& tensors, const std::string& origin) {
  const auto is_other = [](const auto& item) { return !item.second.is_floating_point(); };
  const auto first = std::ranges::find_if(tensors, is_other);
  if (first == tensors.end()) return;
  const auto others = std::ranges::count_if(tensors, is_other);
  const std::string more = others == 1 ? "" : strprintf(" (and %d more)", others - 1);
  fail(ErrorKind::data,
       origin + ": tensor '" + escaped(first->first) + "' is of type " +
           std::string(stored_type_name(first->second.scalar_type())) + more +
           "; weights are of type F16, BF16, F32 or F64.",
       "Quantized weights must be converted back to floating point first.");
}

// The BOS and EOS of the training's documents, as an export states them in the metadata of its
// tensors.
std::optional<DocumentEnds> documents_of(const StoredWeights& stored, const std::string& origin) {
  const auto text = stored.metadata.find(kDocuments);
  if (text == stored.metadata.end()) return std::nullopt;
  return document_ends_from_json(nlohmann::json::parse(text->second, nullptr, false),
                                 origin + ": metadata");
}

TensorMap stored_tensors(const Parameters& parameters, at::ScalarType dtype) {
  TensorMap tensors;
  for (const Parameters::Item& item : parameters.items()) {
    const at::Tensor tensor = item.tensor.detach();
    tensors[item.name] = is_cast(item.use) ? tensor.to(dtype) : tensor;
  }
  return tensors;
}

at::Tensor all_logits(const Model& model, const at::Tensor& ids, int64_t loops) {
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  ForwardOptions options;
  options.loops = loops;
  return logits(weights, forward(model.config, weights, ids, options).hidden);
}

}  // namespace

ExchangeFormat exchange_format(const std::string& name) {
  if (name == "safetensors") return ExchangeFormat::safetensors;
  if (name == "openmythos") return ExchangeFormat::openmythos;
  const std::vector<std::string> known = {"safetensors", "openmythos"};
  fail(ErrorKind::usage, "--format " + escaped(name) +
                             " is not supported by this version; there are " +
                             join(known, " and ") + "." + did_you_mean(name, known));
}

ExchangedModel read_exchanged(ExchangeFormat format, const fs::path& weights,
                              const fs::path& config) {
  ExchangedModel out{read_config(format, config), nullptr, {}, std::nullopt};
  const bool reference = format == ExchangeFormat::openmythos;
  StoredWeights stored = read_weights(
      weights, reference ? is_openmythos_table : std::function<bool(const std::string&)>());
  TensorMap& tensors = stored.tensors;
  const std::string prefix = take_wrapper_prefix(tensors);
  if (!prefix.empty()) {
    log_info(strprintf("%s: took the prefix '%s' off all names", weights, prefix));
  }
  check_types(tensors, weights.string());
  out.nonfinite = find_nonfinite(tensors);
  if (reference) {
    tensors = from_openmythos(out.config.model, tensors, weights.string());
  }
  out.model = std::make_unique<Model>(out.config.model);
  out.model->parameters.load(tensors, weights.string());
  out.documents = documents_of(stored, weights.string());
  return out;
}

std::vector<std::string> write_exchanged(ExchangeFormat format, const fs::path& directory,
                                         const LoadedCheckpoint& checkpoint, at::ScalarType dtype) {
  const ModelConfig& config = checkpoint.config.model;
  TensorMap tensors = stored_tensors(checkpoint.model->parameters, dtype);
  nlohmann::json json;
  std::vector<std::string> names = {"model.safetensors", "config.json"};
  if (format == ExchangeFormat::openmythos) {
    json = openmythos_config(config);
    tensors = to_openmythos(config, tensors);
  } else {
    json = to_json(config);
    json["schema"] = kModelSchema;
    names.emplace_back("config.toml");
    write_file_atomic(directory / names.back(), to_toml(checkpoint.config));
  }
  auto metadata = kMetadata;
  if (checkpoint.documents) metadata[kDocuments] = to_json(*checkpoint.documents).dump();
  write_safetensors(directory / names[0], {tensors.begin(), tensors.end()}, metadata);
  write_file_atomic(directory / names[1], json.dump(2) + "\n");
  if (checkpoint.tokenizer) {
    for (std::string& name : export_tokenizer(directory, *checkpoint.tokenizer)) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

Parity compare_logits(const Model& a, const Model& b) {
  const at::NoGradGuard no_grad;
  Parity parity;
  parity.seq_len = std::min(parity.seq_len, a.config.max_seq_len);
  parity.loops = std::min(parity.loops, a.config.max_loop_iters);
  at::Tensor ids = at::empty({parity.batch, parity.seq_len}, at::kLong);
  Rng rng(0);
  for (int64_t i = 0; i < ids.numel(); ++i) {
    ids.data_ptr<int64_t>()[i] =
        static_cast<int64_t>(rng.below(static_cast<uint64_t>(a.config.vocab_size)));
  }
  const at::Tensor difference = all_logits(a, ids, parity.loops) - all_logits(b, ids, parity.loops);
  parity.largest_difference = difference.abs().max().item<double>();
  return parity;
}

Model rounded(const Model& model, at::ScalarType dtype) {
  Model copy(model.config);
  copy.parameters.load(stored_tensors(model.parameters, dtype), "rounded copy");
  return copy;
}

}  // namespace mythos
