#include "checkpoint/hf_config.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/hf_families.h"
#include "config/apply.h"

namespace mythos {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Fails unless the field is absent, null or one of the values.
void require_one_of(const json& file, const HfFixed& fixed, const std::string& origin) {
  const json* found = find_field(file, fixed.field);
  if (!found) return;
  const json values = json::parse(fixed.values);
  if (std::ranges::find(values, *found) != values.end()) return;
  std::vector<std::string> allowed;
  for (const json& value : values) allowed.push_back(value.dump());
  refuse_field(origin, fixed.field,
               " = " + escaped(found->dump()) + ": this program computes with " +
                   join_or(std::move(allowed)) + " alone.",
               "The model would give other results here than where it comes from.");
}

// What every family here lacks; other programs' models have these fields.
constexpr HfFixed kForAll[] = {
    {"sliding_window", "[null, false, 0]"},
    {"use_sliding_window", "[false]"},
    {"clip_qkv", "[null]"},
    {"quantization_config", "[null]"},
    {"partial_rotary_factor", "[1]"},
    {"attn_logit_softcapping", "[null, 0]"},
    {"final_logit_softcapping", "[null, 0]"},
    {"query_pre_attn_scalar", "[null]"},
    {"embedding_multiplier", "[1]"},
    {"residual_multiplier", "[1]"},
    {"attention_multiplier", "[null]"},
    {"logits_scaling", "[1]"},
    {"logit_scale", "[1]"},
    {"num_experts", "[0]"},
    {"num_local_experts", "[0]"},
    {"use_qk_norm", "[false]"},
    {"no_rope_layers", "[null]"},
    {"is_encoder_decoder", "[false]"},
};

void set_key(Config& config, std::string_view key, const json& value, std::string_view field,
             const std::string& origin) {
  FieldValue plain;
  if (value.is_boolean()) {
    plain = value.get<bool>();
  } else if (value.is_number_integer()) {
    plain = value.get<int64_t>();
  } else if (value.is_number()) {
    plain = value.get<double>();
  } else {
    refuse_field(origin, field,
                 " = " + escaped(value.dump()) + ": expected a number, true or false.");
  }
  try {
    apply(config, {"model", std::string(key), plain, origin + ": " + std::string(field)});
  } catch (const Error& error) {
    fail(ErrorKind::data, error.message(), error.advice());
  }
}

json value_of(const json& file, const HfKey& key, const std::string& origin) {
  if (const json* found = find_field(file, key.field)) return *found;
  if (key.otherwise.starts_with('=')) {
    return value_of(file, {key.otherwise.substr(1), key.key}, origin);
  }
  if (key.otherwise.empty()) refuse_field(origin, key.field, " is missing.");
  return json::parse(key.otherwise);
}

const HfFamily& family_of(const json& file, const std::string& origin) {
  std::vector<std::string> known;
  for (const HfFamily& family : hf_families()) {
    const json* name = find_field(file, family.class_key);
    if (name && *name == family.name) return family;
    known.push_back(strprintf("%s (%s)", std::string(family.name), std::string(family.class_key)));
  }
  const json* name = find_field(file, "model_type");
  const char* key = name ? "model_type" : "_class_name";
  if (!name) name = find_field(file, key);
  fail(ErrorKind::data, origin + ": " + key + " = " + escaped(name ? name->dump() : "null") +
                            " is no family of this version; there are " + join(known, ", ") + ".");
}

Config read_family(const HfFamily& family, const json& file, const std::string& origin) {
  Config config;
  family.read(file, origin, config);
  for (const HfFixed& fixed : fixed_of(family)) require_one_of(file, fixed, origin);
  for (const HfFixed& fixed : kForAll) {
    // Qwen's files name a window that they do not use.
    const json* used = find_field(file, "use_sliding_window");
    if (fixed.field == "sliding_window" && used && *used == false) continue;
    require_one_of(file, fixed, origin);
  }
  for (const HfKey& key : keys_of(family)) {
    set_key(config, key.key, value_of(file, key, origin), key.field, origin);
  }
  if (family.complete) family.complete(file, origin, config);
  config.train.seq_len = std::min(config.train.seq_len, config.model.max_seq_len);
  try {
    config.validate();
  } catch (const Error& error) {
    fail(ErrorKind::data, origin + ": " + error.message(), error.advice());
  }
  return config;
}

void put(ordered_json& file, std::string_view field, const json& value) {
  ordered_json* at = &file;
  for (const std::string& name : split(field, '.')) at = &(*at)[name];
  *at = value;
}

ordered_json write_family(const HfFamily& family, const Config& config, const std::string& dtype) {
  ordered_json file;
  file["architectures"] = {family.architecture};
  file[std::string(family.class_key)] = family.name;
  const json model = to_json(config.model);
  for (const HfKey& key : keys_of(family)) put(file, key.field, model.at(std::string(key.key)));
  for (const HfFixed& fixed : fixed_of(family)) {
    put(file, fixed.field, json::parse(fixed.values).at(0));
  }
  family.write(config, file);
  file["torch_dtype"] = dtype;
  return file;
}

// The keys that make no difference to results, or have other names for the same, in one form.
ModelConfig canonical(ModelConfig c) {
  const ModelConfig plain;
  const auto keep = [&plain](bool matters, auto& value, auto ModelConfig::*key) {
    if (!matters) value = plain.*key;
  };
  if (c.attention == Attention::gqa) {
    c.head_width = c.head_dim();
    c.core_kv_heads = c.core_key_heads();
    c.kv_lora_rank = plain.kv_lora_rank;
    c.q_lora_rank = plain.q_lora_rank;
    c.qk_rope_head_dim = plain.qk_rope_head_dim;
    c.qk_nope_head_dim = plain.qk_nope_head_dim;
    c.v_head_dim = plain.v_head_dim;
  }
  c.core_ffn_dim = c.core_dense_ffn_dim();
  c.ffn_dim = c.dense_ffn_dim();
  if (c.prelude_layers + c.coda_layers == 0) {
    c.ffn_dim = c.core_ffn_dim;
    c.n_kv_heads = c.core_kv_heads;
  }
  if (c.ffn == FeedForward::dense) {
    c.n_experts = plain.n_experts;
    c.n_shared_experts = plain.n_shared_experts;
    c.n_experts_per_tok = plain.n_experts_per_tok;
    c.expert_dim = plain.expert_dim;
  }
  const bool norms = c.qk_norm;
  if (norms && c.qk_norm_eps == 0) c.qk_norm_eps = c.norm_eps;
  keep(norms, c.qk_norm_weight, &ModelConfig::qk_norm_weight);
  keep(norms, c.qk_norm_eps, &ModelConfig::qk_norm_eps);
  keep(c.injection == Injection::zoh, c.zoh_gain, &ModelConfig::zoh_gain);
  keep(c.injection == Injection::linear, c.injection_norm, &ModelConfig::injection_norm);
  keep(c.initial_state == InitialState::random, c.state_std, &ModelConfig::state_std);
  keep(c.loop_embedding != LoopEmbedding::none, c.loop_embedding_dim,
       &ModelConfig::loop_embedding_dim);
  const bool sums = c.halting == Halting::act || c.halting == Halting::act_reference;
  keep(sums, c.act_threshold, &ModelConfig::act_threshold);
  keep(sums, c.min_halt_loops, &ModelConfig::min_halt_loops);
  // They decide first values, or when text ends.
  keep(false, c.halt_loops, &ModelConfig::halt_loops);
  keep(false, c.init_std, &ModelConfig::init_std);
  keep(false, c.embedding_std, &ModelConfig::embedding_std);
  keep(false, c.matrix_init, &ModelConfig::matrix_init);
  keep(false, c.residual_init, &ModelConfig::residual_init);
  keep(false, c.max_output_tokens, &ModelConfig::max_output_tokens);
  return c;
}

// The keys in which the model differs from what a family's file says of it, mechanisms first.
std::vector<std::string> differences(const ModelConfig& model, const ModelConfig& family) {
  const json ours = to_json(canonical(model)), theirs = to_json(canonical(family));
  std::vector<std::string> mechanisms, sizes;
  for (const auto& [key, value] : ours.items()) {
    const json& other = theirs.at(key);
    if (value == other) continue;
    (value.is_number() ? sizes : mechanisms)
        .push_back(strprintf("model.%s = %s (there %s)", key, value.dump(), other.dump()));
  }
  mechanisms.insert(mechanisms.end(), sizes.begin(), sizes.end());
  return mechanisms;
}

}  // namespace

bool is_hf_config(const json& file) {
  return file.is_object() && (file.contains("model_type") || file.contains("_class_name"));
}

Config config_from_hf(const json& file, const std::string& origin) {
  if (!is_hf_config(file)) {
    fail(ErrorKind::data, origin + ": expected an object with model_type or _class_name.");
  }
  return read_family(family_of(file, origin), file, origin);
}

ModelConfig hf_form(const ModelConfig& model) {
  ModelConfig c = model;
  const bool same_widths = c.core_dense_ffn_dim() == c.dense_ffn_dim() &&
                           c.core_key_heads() == c.n_kv_heads && c.ffn == FeedForward::dense;
  if (c.injection != Injection::none || c.attention != Attention::gqa) return c;
  c.rope_pairing = RopePairing::halves;
  if (c.prelude_layers == 0 && (c.prelude_norm || c.embedding_scale != 1)) {
    c.prelude_norm = false;
    c.embedding_scale = 1;
    c.tied_head = false;
  }
  const bool once = c.max_loop_iters == 1 && c.halting == Halting::none && c.lora_rank == 0 &&
                    c.final_norm == FinalNorm::output && !c.readout && !c.prelude_norm;
  if (once && same_widths) {
    c.core_layers += c.prelude_layers + c.coda_layers;
    c.prelude_layers = c.coda_layers = 0;
  }
  return c;
}

ordered_json config_to_hf(const Config& config, const std::string& dtype) {
  std::vector<std::string> nearest;
  std::string_view name;
  for (const HfFamily& family : hf_families()) {
    const ordered_json file = write_family(family, config, dtype);
    std::vector<std::string> found;
    try {
      const Config read = read_family(family, json::parse(file.dump()), "config.json");
      found = differences(config.model, read.model);
    } catch (const Error& error) {
      found = {error.message()};
      if (!name.empty()) continue;
    }
    if (found.empty()) return file;
    if (name.empty() || found.size() < nearest.size()) {
      nearest = found;
      name = family.name;
    }
  }
  constexpr size_t kShown = 5;
  if (nearest.size() > kShown) {
    const std::string more = strprintf("and %d more keys", nearest.size() - kShown);
    nearest.resize(kShown);
    nearest.push_back(more);
  }
  fail(ErrorKind::usage,
       "no published family has this model; the nearest, " + std::string(name) + ", differs in " +
           join(nearest, "; ") + ".",
       "Use --format safetensors.");
}

}  // namespace mythos
