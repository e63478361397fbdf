#include "checkpoint/hf_families.h"

#include <cmath>

#include "base/error.h"
#include "base/strings.h"
#include "config/loop_distribution.h"

namespace mythos {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <class T>
T number_of(const json& file, std::string_view field, T otherwise, const std::string& origin) {
  const json* found = find_field(file, field);
  if (!found) return otherwise;
  if (!found->is_number()) {
    refuse_field(origin, field, " = " + escaped(found->dump()) + ": expected a number.");
  }
  return found->get<T>();
}

// Rope scaling of kind "default" is none; newer files hold theta in rope_parameters.
void require_plain_rope(const json& file, const std::string& origin) {
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    const json* found = find_field(file, field);
    if (!found) continue;
    bool plain = found->is_object();
    if (plain) {
      for (const auto& [key, value] : found->items()) {
        const bool kind = key == "rope_type" || key == "type";
        plain = plain && (kind ? value == "default" : key == "rope_theta" || value == 1);
      }
    }
    if (!plain) {
      refuse_field(origin, field,
                   " = " + escaped(found->dump()) +
                       ": this program does not scale the "
                       "rotation of positions.");
    }
  }
}

// A model without this program's own mechanisms, for families to start from.
void take_plain(ModelConfig& c) {
  c.attention = Attention::gqa;
  c.ffn = FeedForward::dense;
  c.loop_embedding = LoopEmbedding::none;
  c.lora_rank = 0;
  c.prelude_norm = false;
}

// --- Stacks of Llama's layers, run once or in loops -------------------------------------------

constexpr HfKey kStack[] = {
    {"vocab_size", "vocab_size"},
    {"hidden_size", "dim"},
    {"intermediate_size", "ffn_dim"},
    {"num_hidden_layers", "core_layers"},
    {"num_attention_heads", "n_heads"},
    {"num_key_value_heads", "n_kv_heads", "=num_attention_heads"},
    {"head_dim", "head_dim", "0"},
    {"max_position_embeddings", "max_seq_len", "2048"},
    {"rms_norm_eps", "norm_eps", "1e-6"},
    {"rope_theta", "rope_theta", "=rope_parameters.rope_theta"},
    {"tie_word_embeddings", "tied_head", "false"},
};
constexpr HfKey kOuroKeys[] = {{"total_ut_steps", "max_loop_iters", "4"}};
constexpr HfKey kNanbeigeKeys[] = {{"num_loops", "max_loop_iters", "1"}};

constexpr HfFixed kStackFixed[] = {
    {"hidden_act", R"(["silu", "swish"])"},
    {"mlp_bias", "[false]"},
};
// Qwen2 has biases whatever the field says.
constexpr HfFixed kNoBias[] = {{"attention_bias", "[false]"}};
constexpr HfFixed kNanbeigeFixed[] = {
    {"attention_bias", "[false]"},          {"qk_layernorm", "[false]"},
    {"enable_hyper_connection", "[false]"}, {"enable_double_loop_split", "[false]"},
    {"enable_depth_attention", "[false]"},  {"loop_share_kv", "[false]"},
    {"emb_neighbor_num", "[null, 0]"},      {"loop_loss_weights", "[[], null]"},
};

void take_stack(const json& file, const std::string& origin, Config& config) {
  ModelConfig& c = config.model;
  take_plain(c);
  c.prelude_layers = c.coda_layers = 0;
  c.max_loop_iters = 1;
  c.injection = Injection::none;
  c.initial_state = InitialState::input;
  c.rope_pairing = RopePairing::halves;
  config.train.loop_sampling = LoopSampling::fixed;
  require_plain_rope(file, origin);
  const json* layers = find_field(file, "layer_types");
  for (size_t i = 0; layers && i < layers->size(); ++i) {
    if (layers->at(i) == "full_attention") continue;
    refuse_field(origin, strprintf("layer_types[%d]", static_cast<int64_t>(i)),
                 " = " + escaped(layers->at(i).dump()) +
                     ": this program's layers attend to the whole text.");
  }
}

void write_stack(const Config& config, ordered_json& file) {
  file["head_dim"] = config.model.head_dim();
  file["rope_scaling"] = nullptr;
}

void read_llama(const json& file, const std::string& origin, Config& config) {
  take_stack(file, origin, config);
}

void read_qwen2(const json& file, const std::string& origin, Config& config) {
  take_stack(file, origin, config);
  config.model.attention_bias = AttentionBias::qkv;
}

void read_qwen3(const json& file, const std::string& origin, Config& config) {
  take_stack(file, origin, config);
  config.model.qk_norm = true;
}

void read_ouro(const json& file, const std::string& origin, Config& config) {
  take_stack(file, origin, config);
  config.model.norm_placement = NormPlacement::sandwich;
  config.model.final_norm = FinalNorm::loop;
  config.model.halting = Halting::gate;
  const double threshold = number_of(file, "early_exit_threshold", 1.0, origin);
  if (threshold < 1) {
    config.decode.exit = ExitRule::gate;
    config.decode.exit_quantile = threshold;
  }
}

void write_ouro(const Config& config, ordered_json& file) {
  write_stack(config, file);
  const bool exits = config.decode.exit == ExitRule::gate;
  file["early_exit_threshold"] = exits ? config.decode.exit_quantile : 1.0;
}

void read_nanbeige(const json& file, const std::string& origin, Config& config) {
  take_stack(file, origin, config);
  const json* once = find_field(file, "skip_loop_final_norm");
  if (!once || *once == false) config.model.final_norm = FinalNorm::loop;
}

void write_nanbeige(const Config& config, ordered_json& file) {
  write_stack(config, file);
  file["skip_loop_final_norm"] = config.model.final_norm == FinalNorm::output;
}

// --- Huginn and Parcae: prelude, core, coda ------------------------------------------------------

constexpr HfKey kSections[] = {
    {"padded_vocab_size", "vocab_size", "=vocab_size"},
    {"n_embd", "dim"},
    {"block_size", "max_seq_len"},
    {"intermediate_size", "ffn_dim"},
    {"n_layers_in_prelude", "prelude_layers"},
    {"n_layers_in_recurrent_block", "core_layers"},
    {"n_layers_in_coda", "coda_layers"},
    {"mean_recurrence", "max_loop_iters"},
    {"norm_eps", "norm_eps"},
    {"tie_embeddings", "tied_head", "true"},
};
constexpr HfKey kHuginnKeys[] = {
    {"n_heads", "n_heads"},
    {"n_heads", "n_kv_heads"},
    {"head_dim", "head_dim", "0"},
    {"rope_base", "rope_theta", "50000.0"},
};
constexpr HfKey kParcaeKeys[] = {
    {"num_attention_heads", "n_heads"},
    {"num_key_value_heads", "n_kv_heads", "=num_attention_heads"},
    {"recurrent_intermediation_embedding_dimension", "core_ffn_dim", "=intermediate_size"},
    {"rope_settings.rope_base", "rope_theta", "50000"},
    {"qk_norm", "qk_norm", "true"},
    {"logit_softcap", "logit_softcap", "0"},
    {"prelude_norm", "prelude_norm", "true"},
};

constexpr HfFixed kHuginnFixed[] = {
    {"block_class_name", R"(["SandwichBlock"])"},
    {"norm_class_name", R"(["RMSNorm_llama"])"},
    {"mlp_class_name", R"(["GatedMLP"])"},
    {"nonlin_name", R"(["SiLU"])"},
    {"injection_type", R"(["linear"])"},
    {"state_init", R"(["like-init", "zero"])"},
    {"bias", "[false]"},
    {"test_time_noise", "[0]"},
};
constexpr HfFixed kParcaeFixed[] = {
    {"block_class_name", R"(["TransformerPreNormBlock"])"},
    {"norm_class_name", R"(["RMSNorm"])"},
    {"mlp_class_name", R"(["BaseMLP"])"},
    {"nonlin_name", R"(["ReLU2"])"},
    {"model_class_name", R"(["Parcae"])"},
    {"injection_type", R"(["diagonal"])"},
    {"state_init", R"(["like-init", "zero"])"},
    {"bias", "[false]"},
    {"qk_bias", "[false]"},
    {"use_abacus", "[false]"},
    {"randomize_positions_from", "[null]"},
    {"rope_settings.use_rope", "[true]"},
    {"rope_settings.rope_condense_ratio", "[1]"},
    {"center_attention", "[false]"},
    {"debias_attention", "[false]"},
    {"_is_recurrent_block_config", "[false]"},
};

// A field that must be as another one is, or null.
void require_equal(const json& file, std::string_view field, std::string_view other,
                   const std::string& origin) {
  const json *value = find_field(file, field), *wanted = find_field(file, other);
  if (!value || !wanted || *value == *wanted) return;
  refuse_field(origin, field,
               " = " + escaped(value->dump()) + " and " + std::string(other) + " = " +
                   escaped(wanted->dump()) + ": this program has them equal.");
}

void take_sections(const json& file, const std::string& origin, Config& config) {
  ModelConfig& c = config.model;
  take_plain(c);
  c.rope_pairing = RopePairing::adjacent;
  const json* state = find_field(file, "state_init");
  c.initial_state = state && *state == "zero" ? InitialState::zero : InitialState::random;
  config.train.backprop_loops = number_of<int64_t>(file, "mean_backprop_depth", 0, origin);
}

void write_sections(const Config& config, ordered_json& file) {
  const ModelConfig& c = config.model;
  file["vocab_size"] = c.vocab_size;
  file["state_init"] = c.initial_state == InitialState::zero ? "zero" : "like-init";
  const int64_t last = backprop_loops(config);
  file["mean_backprop_depth"] = last > 0 ? last : (c.max_loop_iters + 1) / 2;
}

// The standard deviation from which both families draw matrices and first states.
double like_init(int64_t dim) {
  return std::sqrt(2.0 / (5.0 * static_cast<double>(dim)));
}

void read_huginn(const json& file, const std::string& origin, Config& config) {
  take_sections(file, origin, config);
  require_equal(file, "num_key_value_heads", "n_heads", origin);
  ModelConfig& c = config.model;
  c.norm_placement = NormPlacement::residual;
  c.final_norm = FinalNorm::twice;
  c.injection = Injection::linear;
  c.injection_norm = false;
  const json* bias = find_field(file, "qk_bias");
  c.attention_bias = bias && *bias == true ? AttentionBias::qk : AttentionBias::none;
  config.train.loop_sampling = LoopSampling::lognormal_poisson;
}

void complete_huginn(const json& file, const std::string& origin, Config& config) {
  ModelConfig& c = config.model;
  const double width_root = std::sqrt(static_cast<double>(c.dim));
  c.embedding_scale = number_of(file, "init_values.embed_scale", width_root, origin);
  if (c.initial_state == InitialState::random) {
    c.state_std = number_of(file, "init_values.std", like_init(c.dim), origin) * c.embedding_scale;
  }
}

void write_huginn(const Config& config, ordered_json& file) {
  write_sections(config, file);
  const ModelConfig& c = config.model;
  const int64_t layers = c.prelude_layers + c.core_layers + c.coda_layers;
  file["n_layers"] = layers;
  file["head_dim"] = c.head_dim();
  file["num_key_value_heads"] = c.n_kv_heads;
  file["qk_bias"] = c.attention_bias == AttentionBias::qk;
  const double std =
      c.initial_state == InitialState::random ? c.state_std / c.embedding_scale : like_init(c.dim);
  file["init_values"] = {{"std", std}, {"embedding", std}, {"embed_scale", c.embedding_scale}};
}

// The layers that have both a table of value embeddings and a gate for it. Tables go to every
// second layer from the last one back; gates by a count of layers that runs through the loops.
std::string value_layers(const ModelConfig& c, int64_t backprop_depth) {
  const int64_t P = c.prelude_layers, R = c.core_layers, layers = P + R + c.coda_layers;
  std::vector<std::string> both;
  for (int64_t n = 0; n < layers; ++n) {
    const int64_t id = n < P + R ? n : P + R * c.max_loop_iters + (n - P - R);
    const bool table = (layers - 1 - n) % 2 == 0;
    const bool gate = (R * backprop_depth - 1 - id) % 2 == 0;
    if (table && gate) both.push_back(std::to_string(n));
  }
  return join(both, ",");
}

void read_parcae(const json& file, const std::string& origin, Config& config) {
  take_sections(file, origin, config);
  require_equal(file, "recurrent_embedding_dimension", "n_embd", origin);
  require_equal(file, "recurrent_num_attention_heads", "num_attention_heads", origin);
  ModelConfig& c = config.model;
  c.activation = Activation::relu2;
  c.injection = Injection::zoh;
  c.zoh_gain = ZohGain::euler;
  c.readout = true;
  c.qk_norm_weight = false;
  c.qk_norm_eps = std::ldexp(1.0, -23);
  config.train.loops_per = LoopsPer::sequence;
}

void complete_parcae(const json&, const std::string&, Config& config) {
  ModelConfig& c = config.model;
  c.core_kv_heads = c.n_heads;
  if (c.initial_state == InitialState::random) c.state_std = like_init(c.dim);
  c.value_embeddings = value_layers(c, config.train.backprop_loops);
}

void write_parcae(const Config& config, ordered_json& file) {
  write_sections(config, file);
  const ModelConfig& c = config.model;
  file["rope_settings"]["use_rope"] = true;
  file["rope_settings"]["rope_condense_ratio"] = 1;
  file["recurrent_embedding_dimension"] = c.dim;
  file["recurrent_num_attention_heads"] = nullptr;
  if (c.logit_softcap == 0) file["logit_softcap"] = nullptr;
}

const HfFamily kFamilies[] = {
    {"llama", "model_type", "LlamaForCausalLM", {}, kNoBias, read_llama, nullptr, write_stack},
    {"smollm", "model_type", "LlamaForCausalLM", {}, kNoBias, read_llama, nullptr, write_stack},
    {"qwen2", "model_type", "Qwen2ForCausalLM", {}, {}, read_qwen2, nullptr, write_stack},
    {"qwen3", "model_type", "Qwen3ForCausalLM", {}, kNoBias, read_qwen3, nullptr, write_stack},
    {"ouro", "model_type", "OuroForCausalLM", kOuroKeys, kNoBias, read_ouro, nullptr, write_ouro},
    {"nanbeige", "model_type", "NanbeigeForCausalLM", kNanbeigeKeys, kNanbeigeFixed, read_nanbeige,
     nullptr, write_nanbeige},
    {"huginn_raven", "model_type", "RavenForCausalLM", kHuginnKeys, kHuginnFixed, read_huginn,
     complete_huginn, write_huginn},
    {"ParcaeConfig", "_class_name", "Parcae", kParcaeKeys, kParcaeFixed, read_parcae,
     complete_parcae, write_parcae},
};

bool is_stack(const HfFamily& family) {
  return family.fixed.data() != kHuginnFixed && family.fixed.data() != kParcaeFixed;
}

}  // namespace

std::span<const HfFamily> hf_families() {
  return kFamilies;
}

std::vector<HfKey> keys_of(const HfFamily& family) {
  std::vector<HfKey> keys;
  const std::span<const HfKey> common =
      is_stack(family) ? std::span<const HfKey>(kStack) : kSections;
  keys.assign(common.begin(), common.end());
  keys.insert(keys.end(), family.keys.begin(), family.keys.end());
  return keys;
}

std::vector<HfFixed> fixed_of(const HfFamily& family) {
  std::vector<HfFixed> fixed(family.fixed.begin(), family.fixed.end());
  if (is_stack(family)) fixed.insert(fixed.end(), std::begin(kStackFixed), std::end(kStackFixed));
  return fixed;
}

const json* find_field(const json& file, std::string_view field) {
  const json* at = &file;
  for (const std::string& name : split(field, '.')) {
    if (!at->is_object() || !at->contains(name)) return nullptr;
    at = &at->at(name);
  }
  return at->is_null() ? nullptr : at;
}

void refuse_field(const std::string& origin, std::string_view field, const std::string& why,
                  const std::string& advice) {
  fail(ErrorKind::data, origin + ": " + std::string(field) + why, advice);
}

}  // namespace mythos
