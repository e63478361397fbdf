#include <algorithm>

#include "../scratch.h"
#include "arch/plan.h"
#include "config/config.h"

namespace mythos {
namespace {

TEST(Presets, ListIsInOrderAndEachLoads) {
  std::vector<std::string> names;
  for (const PresetInfo& preset : list_presets()) {
    names.push_back(preset.name);
    EXPECT_FALSE(preset.summary.empty()) << preset.name;
    EXPECT_LE(preset.summary.size(), 100u) << preset.name;
    const Config config = load_preset(preset.name);
    EXPECT_EQ(parse_config(to_toml(config), preset.name), config);
  }
  const std::vector<std::string> expected = {
      "nano",          "small",           "tiny",           "gpt-nano",        "huginn-nano",
      "parcae-nano",   "mythos-1b-smoke", "mythos-1b",      "mythos-3b",       "mythos-10b",
      "mythos-50b",    "mythos-100b",     "mythos-500b",    "mythos-1t",       "openmythos-1b",
      "openmythos-3b", "openmythos-10b",  "openmythos-50b", "openmythos-100b", "openmythos-500b",
      "openmythos-1t"};
  EXPECT_EQ(names, expected);
}

TEST(Presets, MythosIsOpenMythosCorrected) {
  for (const char* size : {"1b", "3b", "10b", "50b", "100b", "500b", "1t"}) {
    Config reference = load_preset(std::string("openmythos-") + size);
    EXPECT_EQ(reference.model.halting, Halting::act_reference);
    EXPECT_FALSE(reference.model.prelude_norm);
    EXPECT_EQ(reference.train.loop_sampling, LoopSampling::fixed);
    reference.model.halting = Halting::none;
    reference.model.prelude_norm = true;
    reference.train.loop_sampling = LoopSampling::poisson;
    reference.model.residual_init = ResidualInit::scaled;
    reference.train.optimizer = Optimizer::muon;
    reference.train.backprop_loops = -1;
    EXPECT_EQ(load_preset(std::string("mythos-") + size), reference) << size;
  }
}

TEST(Presets, SmokeKeepsTheRatiosOf1b) {
  const ModelConfig large = load_preset("mythos-1b").model;
  const ModelConfig small = load_preset("mythos-1b-smoke").model;
  EXPECT_EQ(large.dim, 16 * small.dim);
  EXPECT_EQ(large.vocab_size, 16 * small.vocab_size);
  EXPECT_EQ(large.kv_lora_rank, 16 * small.kv_lora_rank);
  EXPECT_EQ(large.q_lora_rank, 16 * small.q_lora_rank);
  EXPECT_EQ(large.qk_rope_head_dim, 16 * small.qk_rope_head_dim);
  EXPECT_EQ(large.qk_nope_head_dim, 16 * small.qk_nope_head_dim);
  EXPECT_EQ(large.v_head_dim, 16 * small.v_head_dim);
  EXPECT_EQ(large.expert_dim, 16 * small.expert_dim);
  EXPECT_EQ(large.n_heads, small.n_heads);
  EXPECT_EQ(large.n_experts, small.n_experts);
  EXPECT_EQ(large.max_loop_iters, small.max_loop_iters);
  EXPECT_LT(make_plan(small, 0, 0).parameters, 10'000'000);
}

// Nothing adds to the embedding before it is brought to the scale of what layers add.
TEST(Presets, ThePlainTransformerNormalisesItsEmbedding) {
  const ModelConfig gpt = load_preset("gpt-nano").model;
  EXPECT_EQ(gpt.injection, Injection::none);
  EXPECT_EQ(gpt.max_loop_iters, 1);
  EXPECT_EQ(gpt.prelude_layers, 0);
  EXPECT_TRUE(gpt.prelude_norm);
  EXPECT_EQ(gpt.core_layers + gpt.coda_layers, 8);
}

TEST(Presets, NanoIsTheDefaultConfigurationButForItsStart) {
  ModelConfig nano = load_preset("nano").model;
  EXPECT_EQ(nano.residual_init, ResidualInit::scaled);
  nano.residual_init = ResidualInit::normal;
  EXPECT_EQ(nano, ModelConfig());
}

TEST(Presets, UnknownNameIsSuggested) {
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [] { load_preset("nanoo"); }),
                       "unknown preset 'nanoo'. Did you mean 'nano'?"));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::usage, [] { load_preset("a/b.toml"); }), "use --config"));
}

TEST(Presets, FolderMayBeNamed) {
  const Scratch scratch;
  write_file_atomic(scratch / "mine.toml", "# My own size\n[model]\ndim = 64\n");
  setenv("MYTHOS_PRESETS", scratch.path().c_str(), 1);
  const std::vector<PresetInfo> presets = list_presets();
  setenv("MYTHOS_PRESETS", (scratch / "none").c_str(), 1);
  const std::string message = error_of(ErrorKind::usage, [] { list_presets(); });
  unsetenv("MYTHOS_PRESETS");
  ASSERT_EQ(presets.size(), 1u);
  EXPECT_EQ(presets[0].name, "mine");
  EXPECT_EQ(presets[0].summary, "My own size");
  EXPECT_TRUE(contains(message, "MYTHOS_PRESETS"));
}

}  // namespace
}  // namespace mythos
