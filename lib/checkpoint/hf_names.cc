#include "checkpoint/hf_names.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cstring>
#include <set>

#include "arch/tensors.h"
#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/hf_config.h"

namespace mythos {
namespace {

using Names = std::vector<std::string>;

// Tensors on either side that hold the same numbers in the same order; one side is one tensor. In
// the names of layers {s} is the section, {i} the number in it, {n} that over all sections.
struct Row {
  Names native, published;
};

struct Scheme {
  std::vector<Row> layer, model;
  Names sections;  // published names of prelude, core and coda
  std::string embed, head;
};

// Ouro, Nanbeige, Llama, Qwen: all layers are the core's.
const Scheme kStackNames = {
    {
        {{"attn_norm.weight"}, {"model.layers.{i}.input_layernorm.weight"}},
        {{"attn.qkv.weight"},
         {"model.layers.{i}.self_attn.q_proj.weight", "model.layers.{i}.self_attn.k_proj.weight",
          "model.layers.{i}.self_attn.v_proj.weight"}},
        {{"attn.q_bias"}, {"model.layers.{i}.self_attn.q_proj.bias"}},
        {{"attn.k_bias"}, {"model.layers.{i}.self_attn.k_proj.bias"}},
        {{"attn.v_bias"}, {"model.layers.{i}.self_attn.v_proj.bias"}},
        {{"attn.q_norm.weight"}, {"model.layers.{i}.self_attn.q_norm.weight"}},
        {{"attn.k_norm.weight"}, {"model.layers.{i}.self_attn.k_norm.weight"}},
        {{"attn.wo.weight"}, {"model.layers.{i}.self_attn.o_proj.weight"}},
        {{"attn_out_norm.weight"}, {"model.layers.{i}.input_layernorm_2.weight"}},
        {{"ffn_norm.weight"}, {"model.layers.{i}.post_attention_layernorm.weight"}},
        {{"ffn.gate_up.weight"},
         {"model.layers.{i}.mlp.gate_proj.weight", "model.layers.{i}.mlp.up_proj.weight"}},
        {{"ffn.down.weight"}, {"model.layers.{i}.mlp.down_proj.weight"}},
        {{"ffn_out_norm.weight"}, {"model.layers.{i}.post_attention_layernorm_2.weight"}},
    },
    {
        {{"norm.weight"}, {"model.norm.weight"}},
        {{"recurrent.halt.weight"}, {"model.early_exit_gate.weight"}},
        {{"recurrent.halt.bias"}, {"model.early_exit_gate.bias"}},
    },
    {"", "layers", ""},
    "model.embed_tokens.weight",
    "lm_head.weight",
};

const Names kSectionNames = {"prelude", "core_block", "coda"};

const Scheme kHuginnNames = {
    {
        {{"attn_norm.weight"}, {"transformer.{s}.{i}.norm_1.weight"}},
        {{"attn.qkv.weight"}, {"transformer.{s}.{i}.attn.Wqkv.weight"}},
        {{"attn.q_bias", "attn.k_bias"}, {"transformer.{s}.{i}.attn.qk_bias"}},
        {{"attn.wo.weight"}, {"transformer.{s}.{i}.attn.proj.weight"}},
        {{"attn_out_norm.weight"}, {"transformer.{s}.{i}.norm_2.weight"}},
        {{"ffn_norm.weight"}, {"transformer.{s}.{i}.norm_3.weight"}},
        {{"ffn.gate_up.weight"}, {"transformer.{s}.{i}.mlp.fc.weight"}},
        {{"ffn.down.weight"}, {"transformer.{s}.{i}.mlp.proj.weight"}},
        {{"ffn_out_norm.weight"}, {"transformer.{s}.{i}.norm_4.weight"}},
    },
    {
        {{"norm.weight"}, {"transformer.ln_f.weight"}},
        {{"recurrent.injection.weight"}, {"transformer.adapter.weight"}},
    },
    kSectionNames,
    "transformer.wte.weight",
    "lm_head.weight",
};

const Scheme kParcaeNames = {
    {
        {{"attn_norm.weight"}, {"transformer.{s}.{i}.norm_1.weight"}},
        {{"attn.qkv.weight"},
         {"transformer.{s}.{i}.attn.c_q.weight", "transformer.{s}.{i}.attn.c_k.weight",
          "transformer.{s}.{i}.attn.c_v.weight"}},
        {{"attn.wo.weight"}, {"transformer.{s}.{i}.attn.c_proj.weight"}},
        {{"value_embed.weight"}, {"value_embeds.{n}.weight"}},
        {{"value_gate.weight"}, {"transformer.{s}.{i}.attn.ve_gate.weight"}},
        {{"ffn_norm.weight"}, {"transformer.{s}.{i}.norm_2.weight"}},
        {{"ffn.up.weight"}, {"transformer.{s}.{i}.mlp.fc.weight"}},
        {{"ffn.down.weight"}, {"transformer.{s}.{i}.mlp.proj.weight"}},
    },
    {
        {{"prelude_norm.weight"}, {"transformer.ln_prelude.weight"}},
        {{"norm.weight"}, {"transformer.ln_f.weight"}},
        {{"readout.weight"}, {"transformer.C.weight"}},
        {{"recurrent.injection.log_a"}, {"transformer.adapter.A_log"}},
        {{"recurrent.injection.dt_bias"}, {"transformer.adapter.dt_bias"}},
        {{"recurrent.injection.B.weight"}, {"transformer.adapter.B"}},
    },
    kSectionNames,
    "transformer.wte.weight",
    "lm_head.weight",
};

const Scheme& scheme_of(const ModelConfig& c) {
  if (c.injection == Injection::linear) return kHuginnNames;
  return c.injection == Injection::zoh ? kParcaeNames : kStackNames;
}

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;

  int64_t numel() const {
    int64_t count = 1;
    for (const int64_t side : shape) count *= side;
    return count;
  }
};

// A row with its names spelt out and the shapes of this configuration.
struct Correspondence {
  std::vector<NamedShape> native, published;
};

std::string with(std::string text, const std::string& mark, const std::string& value) {
  const size_t at = text.find(mark);
  return at == std::string::npos ? text : text.replace(at, mark.size(), value);
}

class Spelling {
 public:
  explicit Spelling(const ModelConfig& config) : c_(config), scheme_(scheme_of(config)) {
    for (const TensorDeclaration& tensor : declared_tensors(config)) {
      declared_[tensor.name] = tensor;
    }
    add({{"embed.weight"}, {scheme_.embed}}, "");
    if (!c_.tied_head) add({{"head.weight"}, {scheme_.head}}, "");
    for (const Row& row : scheme_.model) add(row, "");
    const std::pair<const char*, int64_t> sections[] = {
        {"prelude.", c_.prelude_layers}, {"core.", c_.core_layers}, {"coda.", c_.coda_layers}};
    int64_t number = 0, section = 0;
    for (const auto& [name, count] : sections) {
      const std::string& published = scheme_.sections[static_cast<size_t>(section++)];
      if (published.empty()) continue;
      for (int64_t i = 0; i < count; ++i, ++number) add_layer(name, published, i, number);
    }
  }

  // All native tensors. Fails (usage) at one that no row names.
  std::vector<Correspondence> all() && {
    for (const auto& [name, tensor] : declared_) {
      if (taken_.count(name)) continue;
      fail(ErrorKind::usage, "published families have no counterpart of tensor '" + name + "'.",
           "Use --format safetensors.");
    }
    return std::move(found_);
  }

 private:
  void add_layer(const std::string& section, const std::string& published, int64_t i,
                 int64_t number) {
    const std::string index = std::to_string(i);
    for (Row row : scheme_.layer) {
      for (std::string& name : row.published) {
        name =
            with(with(with(name, "{s}", published), "{i}", index), "{n}", std::to_string(number));
      }
      add(row, section + index + ".");
    }
  }

  void add(const Row& row, const std::string& prefix) {
    if (!declared_.count(prefix + row.native[0])) return;
    Correspondence found;
    for (const std::string& name : row.native) {
      taken_.insert(prefix + name);
      found.native.push_back({prefix + name, declared_.at(prefix + name).shape});
    }
    const TensorDeclaration& first = declared_.at(found.native[0].name);
    for (size_t i = 0; i < row.published.size(); ++i) {
      std::vector<int64_t> shape = first.shape;
      if (row.published.size() > 1) shape[0] = first.parts[i];
      // Huginn's biases of queries and keys.
      if (row.native.size() > 1) shape = {2, 1, c_.n_heads, c_.head_dim()};
      found.published.push_back({row.published[i], shape});
    }
    found_.push_back(std::move(found));
  }

  const ModelConfig& c_;
  const Scheme& scheme_;
  std::map<std::string, TensorDeclaration> declared_;
  std::set<std::string> taken_;
  std::vector<Correspondence> found_;
};

bool same_bytes(const Tensor& a, const Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

// Whether a tensor of Parcae takes part in nothing: a table without a gate, or a gate without one.
bool is_inert(const ModelConfig& c, const std::string& name) {
  if (c.injection != Injection::zoh) return false;
  return name.starts_with("value_embeds.") || name.ends_with(".attn.ve_gate.weight");
}

// Whether tensors are one behind the other in memory that one owner holds, as files hold gate_proj
// and up_proj by the order of their names.
bool lie_together(const std::vector<Tensor>& parts) {
  for (size_t i = 1; i < parts.size(); ++i) {
    const Tensor &a = parts[i - 1], &b = parts[i];
    const auto* end = static_cast<const std::byte*>(a.const_data_ptr()) + a.nbytes();
    if (!a.is_cpu() || !b.is_cpu() || a.scalar_type() != b.scalar_type()) return false;
    if (!a.is_contiguous() || !b.is_contiguous() || b.const_data_ptr() != end) return false;
  }
  return true;
}

// The rows of tensors [M,...], those of the first on top.
Tensor joined_rows(const std::vector<Tensor>& parts) {
  if (parts.size() == 1) return parts[0];
  if (!lie_together(parts)) return at::cat(parts, 0);
  std::vector<int64_t> shape = parts[0].sizes().vec();
  shape[0] = 0;
  for (const Tensor& part : parts) shape[0] += part.size(0);
  // Every part holds its file's mapping as long as it lives.
  return at::from_blob(
      const_cast<void*>(parts[0].const_data_ptr()), shape, [parts](void*) {}, parts[0].options());
}

class Reading {
 public:
  Reading(const ModelConfig& config, const TensorMap& published, const std::string& origin)
      : c_(config), scheme_(scheme_of(config)), published_(published), origin_(origin) {
    if (c_.tied_head) drop_tied_head();
  }

  HfTensors read() && {
    std::set<std::string> known;
    for (const Correspondence& row : Spelling(c_).all()) {
      std::vector<Tensor> sources;
      for (const NamedShape& source : row.published) {
        known.insert(source.name);
        sources.push_back(source_of(source));
      }
      int64_t begin = 0;
      for (const NamedShape& native : row.native) {
        out_.tensors[native.name] = [sources, begin, native] {
          const Tensor numbers = joined_rows(sources).reshape({-1});
          return numbers.narrow(0, begin, native.numel()).reshape(native.shape);
        };
        begin += native.numel();
      }
    }
    for (const auto& [name, tensor] : published_) leave_out(name, known);
    return std::move(out_);
  }

 private:
  void drop_tied_head() {
    const auto head = published_.find(scheme_.head), embed = published_.find(scheme_.embed);
    if (head == published_.end()) return;
    if (embed != published_.end() && !same_bytes(head->second, embed->second)) {
      fail(ErrorKind::data, origin_ + ": tensor '" + scheme_.head + "' differs from '" +
                                scheme_.embed + "', but config.json ties them.");
    }
    if (embed == published_.end()) {
      published_[scheme_.embed] = head->second;
    } else {
      out_.dropped.push_back(scheme_.head + ": the embedding again");
    }
    published_.erase(scheme_.head);
  }

  const Tensor& source_of(const NamedShape& source) {
    const auto found = published_.find(source.name);
    if (found == published_.end()) {
      fail(ErrorKind::data, origin_ + ": tensor '" + source.name + "' of shape " +
                                shape_text(source.shape) + " is missing.");
    }
    if (found->second.sizes() != at::IntArrayRef(source.shape)) {
      fail(ErrorKind::data, origin_ + ": tensor '" + source.name + "' has shape " +
                                shape_text(found->second.sizes()) + "; config.json says " +
                                shape_text(source.shape) + ".");
    }
    return found->second;
  }

  void leave_out(const std::string& name, const std::set<std::string>& known) {
    if (known.count(name)) return;
    if (is_hf_table(name)) {
      out_.dropped.push_back(name + ": " + kComputedTable);
    } else if (is_inert(c_, name)) {
      out_.dropped.push_back(name + (name.starts_with("value_embeds.")
                                         ? ": its layer has no gate for it"
                                         : ": its layer has no table of value embeddings"));
    } else {
      fail(ErrorKind::data,
           origin_ + ": tensor '" + escaped(name) + "' does not belong to this config.json." +
               did_you_mean(name, std::vector<std::string>(known.begin(), known.end())));
    }
  }

  const ModelConfig& c_;
  const Scheme& scheme_;
  TensorMap published_;
  const std::string& origin_;
  HfTensors out_;
};

// Channels 0, 2, 4, … of each head first, then 1, 3, …: x [heads·width, …].
Tensor halved(const Tensor& x, int64_t width) {
  const Tensor pairs = x.reshape({x.size(0) / width, width / 2, 2, -1});
  return pairs.transpose(1, 2).reshape(x.sizes());
}

// Layers of one section instead of three.
std::string in_one_section(const ModelConfig& c, const std::string& name) {
  const std::pair<std::string, int64_t> shifts[] = {
      {"core.", c.prelude_layers}, {"coda.", c.prelude_layers + c.core_layers}, {"prelude.", 0}};
  for (const auto& [section, shift] : shifts) {
    if (!name.starts_with(section)) continue;
    const size_t end = name.find('.', section.size());
    const int64_t index = parse_int(name.substr(section.size(), end - section.size())).value_or(0);
    return "core." + std::to_string(index + shift) + name.substr(end);
  }
  return name;
}

Tensor in_halves(const ModelConfig& c, const std::string& name, const Tensor& x) {
  const int64_t d = c.head_dim();
  if (name.ends_with("attn.qkv.weight")) {
    const int64_t queries = c.n_heads * d, keys = (x.size(0) - queries) / 2;
    const auto parts = x.split_with_sizes({queries, keys, keys}, 0);
    return at::cat({halved(parts[0], d), halved(parts[1], d), parts[2]}, 0);
  }
  for (const char* turned :
       {"attn.q_bias", "attn.k_bias", "attn.q_norm.weight", "attn.k_norm.weight"}) {
    if (name.ends_with(turned)) return halved(x, d);
  }
  return x;
}

// The embedding as it enters the first layer.
Tensor entering(const ModelConfig& c, const TensorMap& native) {
  Tensor x = native.at("embed.weight").to(at::kFloat) * c.embedding_scale;
  if (!c.prelude_norm) return x;
  const Tensor scale = at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + c.norm_eps);
  return x * scale * native.at("prelude_norm.weight").to(at::kFloat);
}

}  // namespace

bool is_hf_table(const std::string& name) {
  return name == "freqs_cis" || name.ends_with(".freqs_cis") ||
         name.ends_with("rotary_emb.inv_freq");
}

HfTensors from_hf(const ModelConfig& config, const TensorMap& published,
                  const std::string& origin) {
  return Reading(config, published, origin).read();
}

TensorMap made(const StoredTensors& tensors) {
  TensorMap out;
  for (const auto& [name, make] : tensors) out[name] = make();
  return out;
}

TensorMap in_hf_form(const ModelConfig& config, const TensorMap& native) {
  const ModelConfig form = hf_form(config);
  TensorMap out;
  const bool turned = form.rope_pairing != config.rope_pairing;
  for (const auto& [name, tensor] : native) {
    const bool moved = form.core_layers != config.core_layers;
    out[moved ? in_one_section(config, name) : name] =
        turned ? in_halves(config, name, tensor) : tensor;
  }
  if (form.prelude_norm == config.prelude_norm && form.embedding_scale == config.embedding_scale) {
    return out;
  }
  if (config.tied_head) out["head.weight"] = native.at("embed.weight");
  out["embed.weight"] = entering(config, native);
  out.erase("prelude_norm.weight");
  return out;
}

TensorMap to_hf(const ModelConfig& config, const TensorMap& native) {
  TensorMap out;
  for (const Correspondence& row : Spelling(config).all()) {
    std::vector<Tensor> parts;
    for (const NamedShape& tensor : row.native) {
      const auto found = native.find(tensor.name);
      if (found == native.end()) fail(ErrorKind::internal, "no tensor '" + tensor.name + "'");
      parts.push_back(found->second.reshape({-1}));
    }
    const Tensor numbers = parts.size() == 1 ? parts[0] : at::cat(parts, 0);
    int64_t begin = 0;
    for (const NamedShape& tensor : row.published) {
      out[tensor.name] = numbers.narrow(0, begin, tensor.numel()).reshape(tensor.shape);
      begin += tensor.numel();
    }
  }
  return out;
}

}  // namespace mythos
