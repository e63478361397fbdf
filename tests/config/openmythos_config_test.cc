#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "config/config.h"

namespace mythos {
namespace {

using nlohmann::json;

json small() {
  return {{"vocab_size", 96},       {"dim", 32},
          {"n_heads", 4},           {"n_kv_heads", 2},
          {"max_seq_len", 64},      {"max_loop_iters", 4},
          {"prelude_layers", 1},    {"coda_layers", 3},
          {"attn_type", "gqa"},     {"kv_lora_rank", 16},
          {"q_lora_rank", 24},      {"qk_rope_head_dim", 8},
          {"qk_nope_head_dim", 6},  {"v_head_dim", 10},
          {"n_experts", 5},         {"n_shared_experts", 1},
          {"n_experts_per_tok", 2}, {"expert_dim", 16},
          {"act_threshold", 0.9},   {"rope_theta", 10000.0},
          {"lora_rank", 3},         {"max_output_tokens", 65},
          {"dropout", 0.0}};
}

TEST(OpenMythosConfig, TakesTheReferencesSemantics) {
  const ModelConfig c = model_config_from_openmythos(small(), "c.json");
  EXPECT_EQ(c.vocab_size, 96);
  EXPECT_EQ(c.attention, Attention::gqa);
  EXPECT_EQ(c.coda_layers, 3);
  EXPECT_EQ(c.n_experts, 5);
  EXPECT_EQ(c.act_threshold, 0.9);
  EXPECT_EQ(c.max_output_tokens, 65);
  EXPECT_EQ(c.injection, Injection::lti);
  EXPECT_EQ(c.halting, Halting::act_reference);
  EXPECT_EQ(c.loop_embedding, LoopEmbedding::sinusoid);
  EXPECT_EQ(c.initial_state, InitialState::input);
  EXPECT_EQ(c.ffn, FeedForward::moe);
  EXPECT_FALSE(c.prelude_norm);
  EXPECT_TRUE(c.tied_head);
}

TEST(OpenMythosConfig, BackIsTheSameObject) {
  EXPECT_EQ(openmythos_config(model_config_from_openmythos(small(), "c.json")), small());
}

TEST(OpenMythosConfig, MissingKeysTakeTheReferencesDefaults) {
  const json defaults = openmythos_config(model_config_from_openmythos(json::object(), "c.json"));
  const json expected = {{"vocab_size", 32000},     {"dim", 2048},
                         {"n_heads", 16},           {"n_kv_heads", 4},
                         {"max_seq_len", 4096},     {"max_loop_iters", 16},
                         {"prelude_layers", 2},     {"coda_layers", 2},
                         {"attn_type", "mla"},      {"kv_lora_rank", 512},
                         {"q_lora_rank", 1536},     {"qk_rope_head_dim", 64},
                         {"qk_nope_head_dim", 128}, {"v_head_dim", 128},
                         {"n_experts", 64},         {"n_shared_experts", 2},
                         {"n_experts_per_tok", 4},  {"expert_dim", 512},
                         {"act_threshold", 0.99},   {"rope_theta", 500000.0},
                         {"lora_rank", 16},         {"max_output_tokens", 4096},
                         {"dropout", 0.0}};
  EXPECT_EQ(defaults, expected);
}

TEST(OpenMythosConfig, LeavesOutWhatCountsBeforeTrainingAlone) {
  ModelConfig config = model_config_from_openmythos(small(), "c.json");
  config.init_std = 0.5;
  config.matrix_init = MatrixInit::orthogonal;
  config.residual_init = ResidualInit::scaled;
  config.halt_loops = 3;
  EXPECT_EQ(openmythos_config(config), small());
}

TEST(OpenMythosConfig, PresetsAreTheReferencesOwn) {
  const ModelConfig preset = load_preset("openmythos-1b").model;
  EXPECT_EQ(model_config_from_openmythos(openmythos_config(preset), "c.json"), preset);
}

TEST(OpenMythosConfig, NamesWhatIsWrong) {
  const auto message = [](const char* key, const json& value) {
    json config = small();
    config[key] = value;
    return error_of(ErrorKind::usage, [&] { model_config_from_openmythos(config, "c.json"); });
  };
  EXPECT_TRUE(contains(message("dropout", 0.1), "c.json: dropout = 0.1: only 0 is supported"));
  EXPECT_TRUE(
      contains(message("attn_typ", "mla"), "unknown key 'attn_typ'. Did you mean 'attn_type'?"));
  EXPECT_TRUE(contains(message("attn_type", "mha"), "expected one of gqa, mla"));
  EXPECT_TRUE(contains(message("n_heads", 5), "c.json: model.n_heads = 5: must divide"));
}

TEST(OpenMythosConfig, BackRefusesWhatTheReferenceLacks) {
  const auto message = [](const char* assignment) {
    Config config;
    config.model = model_config_from_openmythos(small(), "c.json");
    set_value(config, assignment);
    return error_of(ErrorKind::usage, [&] { openmythos_config(config.model); });
  };
  EXPECT_TRUE(
      contains(message("injection=zoh"), "model.injection = \"zoh\": the openmythos format"));
  EXPECT_TRUE(contains(message("prelude_norm=true"), "model.prelude_norm = true"));
  EXPECT_TRUE(contains(message("core_layers=2"), "model.core_layers = 2"));
  EXPECT_TRUE(contains(message("halting=none"), "model.halting"));
  EXPECT_TRUE(contains(message("ffn_dim=40"), "model.ffn_dim = 40"));
  EXPECT_TRUE(contains(message("norm_eps=1e-5"), "model.norm_eps"));
  EXPECT_TRUE(contains(message("loop_embedding_dim=8"), "model.loop_embedding_dim = 8"));
}

TEST(OpenMythosConfig, BackTakesTheSameWidthsSpelledOut) {
  Config config;
  config.model = model_config_from_openmythos(small(), "c.json");
  set_value(config, "ffn_dim=42");
  set_value(config, "loop_embedding_dim=4");
  EXPECT_EQ(openmythos_config(config.model), small());
}

TEST(OpenMythosConfig, NarrowModelsHaveNoLoopEmbedding) {
  json config = small();
  config["dim"] = 4;
  config["n_heads"] = config["n_kv_heads"] = 2;
  const ModelConfig c = model_config_from_openmythos(config, "c.json");
  EXPECT_EQ(c.loop_embedding, LoopEmbedding::none);
  EXPECT_EQ(openmythos_config(c), config);
}

}  // namespace
}  // namespace mythos
