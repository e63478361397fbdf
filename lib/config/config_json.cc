#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "config/apply.h"

namespace mythos {
namespace {

using nlohmann::json;

template <class C>
json table_to_json(const C& config) {
  json out = json::object();
  C::visit(config, [&](const Field& field, const auto& value) {
    std::visit([&](const auto& plain) { out[std::string(field.name)] = plain; },
               field_value(value));
  });
  return out;
}

FieldValue scalar(const json& value, const std::string& key, const std::string& origin) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  fail(ErrorKind::usage, origin + ": " + key + ": expected a number, true, false or a name, got " +
                             value.type_name());
}

void require_object(const json& value, const std::string& origin) {
  if (value.is_object()) return;
  fail(ErrorKind::usage, origin + ": a model configuration must be a JSON object, got " +
                             std::string(value.type_name()));
}

// Validates a model; errors begin with the origin.
void validate_from(const ModelConfig& model, const std::string& origin) {
  try {
    model.validate();
  } catch (const Error& error) {
    fail(error.kind(), origin + ": " + error.message(), error.advice());
  }
}

// The reference's keys that ModelConfig has under the same name.
constexpr std::string_view kSharedKeys[] = {"vocab_size",        "dim",
                                            "n_heads",           "n_kv_heads",
                                            "max_seq_len",       "max_loop_iters",
                                            "prelude_layers",    "coda_layers",
                                            "kv_lora_rank",      "q_lora_rank",
                                            "v_head_dim",        "qk_rope_head_dim",
                                            "qk_nope_head_dim",  "n_experts",
                                            "expert_dim",        "n_shared_experts",
                                            "n_experts_per_tok", "act_threshold",
                                            "rope_theta",        "lora_rank",
                                            "max_output_tokens"};
// Keys that decide values before training alone: a trained model means the same with any of them.
constexpr std::string_view kInitialKeys[] = {"init_std", "embedding_std", "matrix_init",
                                             "residual_init", "halt_loops"};
constexpr std::string_view kAttentionKey = "attn_type";
constexpr std::string_view kDropoutKey = "dropout";

// The reference's defaults and semantics (OpenMythos, MythosConfig).
ModelConfig openmythos_defaults() {
  ModelConfig c;
  c.vocab_size = 32000;
  c.dim = 2048;
  c.n_heads = 16;
  c.n_kv_heads = 4;
  c.max_seq_len = 4096;
  c.max_loop_iters = 16;
  c.prelude_layers = c.coda_layers = 2;
  c.kv_lora_rank = 512;
  c.q_lora_rank = 1536;
  c.qk_rope_head_dim = 64;
  c.qk_nope_head_dim = c.v_head_dim = 128;
  c.n_experts = 64;
  c.n_shared_experts = 2;
  c.n_experts_per_tok = 4;
  c.expert_dim = 512;
  c.rope_theta = 500000;
  c.lora_rank = 16;
  c.max_output_tokens = 4096;
  c.act_threshold = 0.99;
  c.halting = Halting::act_reference;
  c.prelude_norm = false;
  return c;
}

void apply_openmythos(Config& config, const std::string& key, const json& value,
                      const std::string& origin) {
  if (key == kDropoutKey) {
    if (value.is_number() && value.get<double>() == 0) return;
    fail(ErrorKind::usage, origin + ": dropout = " + value.dump() + ": only 0 is supported");
  }
  if (key == kAttentionKey) {
    apply(config, {"model", "attention", scalar(value, key, origin), origin});
    return;
  }
  if (std::ranges::find(kSharedKeys, key) == std::end(kSharedKeys)) {
    std::vector<std::string> known(std::begin(kSharedKeys), std::end(kSharedKeys));
    known.emplace_back(kAttentionKey);
    known.emplace_back(kDropoutKey);
    fail(ErrorKind::usage, origin + ": unknown key '" + key + "'." + did_you_mean(key, known));
  }
  apply(config, {"model", key, scalar(value, key, origin), origin});
}

}  // namespace

json to_json(const ModelConfig& config) {
  return table_to_json(config);
}
json to_json(const TrainConfig& config) {
  return table_to_json(config);
}
json to_json(const ObjectivesConfig& config) {
  return table_to_json(config);
}

ModelConfig model_config_from_json(const json& value, const std::string& origin) {
  require_object(value, origin);
  Config config;
  for (const auto& [key, item] : value.items()) {
    apply(config, {"model", key, scalar(item, key, origin), origin});
  }
  validate_from(config.model, origin);
  return config.model;
}

ModelConfig model_config_from_openmythos(const json& value, const std::string& origin) {
  require_object(value, origin);
  Config config;
  config.model = openmythos_defaults();
  for (const auto& [key, item] : value.items()) apply_openmythos(config, key, item, origin);
  // In fewer than 8 channels the reference's loop embedding has no channel.
  if (config.model.dim < 8) config.model.loop_embedding = LoopEmbedding::none;
  validate_from(config.model, origin);
  return config.model;
}

json openmythos_config(const ModelConfig& config) {
  // A key that the reference lacks must have the value that the reference takes for granted.
  ModelConfig said = openmythos_defaults();
  if (config.dim < 8) said.loop_embedding = LoopEmbedding::none;
  const json all = to_json(config);
  const json taken = to_json(said);
  json out = json::object();
  for (const auto& [key, value] : all.items()) {
    if (key == "attention") {
      out[std::string(kAttentionKey)] = value;
    } else if (std::ranges::find(kSharedKeys, key) != std::end(kSharedKeys)) {
      out[key] = value;
    } else if (key == "loop_embedding_dim" && config.loop_channels() == config.dim / 8) {
      continue;
    } else if (key == "ffn_dim" && config.dense_ffn_dim() == 4 * config.dim / 3) {
      continue;
    } else if (std::ranges::find(kInitialKeys, key) != std::end(kInitialKeys)) {
      continue;
    } else if (value != taken[key]) {
      fail(ErrorKind::usage, "model." + key + " = " + value.dump() +
                                 ": the openmythos format has no such setting; it means " +
                                 taken[key].dump());
    }
  }
  out[std::string(kDropoutKey)] = 0.0;
  return out;
}

}  // namespace mythos
