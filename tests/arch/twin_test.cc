#include "arch/twin.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../scratch.h"
#include "arch/plan.h"

namespace mythos {
namespace {

int64_t macs(const ModelConfig& model, int64_t loops, int64_t context) {
  const Plan plan = make_plan(model, loops, context);
  return plan.matrix_macs_per_token + plan.attention_macs_per_token;
}

TEST(Twin, HasAsManyParameters) {
  for (const char* preset : {"nano", "tiny", "small", "huginn-nano", "parcae-nano", "mythos-1b"}) {
    const Config looped = load_preset(preset);
    const Twin twin = plain_twin(looped, MatchBy::parameters, 0, 256);
    EXPECT_EQ(twin.wanted, make_plan(looped.model, 0, 0).parameters);
    EXPECT_EQ(twin.reached, make_plan(twin.config.model, 0, 0).parameters);
    EXPECT_LE(std::abs(twin.deviation()), 0.005) << preset;
    EXPECT_EQ(twin.config.model.dim, looped.model.dim);
    EXPECT_EQ(twin.config.train.steps, looped.train.steps);
  }
}

TEST(Twin, TakesAsManyFlopsAtTheLoopsAskedFor) {
  const Config looped = load_preset("nano");
  int64_t layers = 0;
  for (const int64_t loops : {1, 4, 8, 32}) {
    const Twin twin = plain_twin(looped, MatchBy::flops, loops, 128);
    EXPECT_EQ(twin.wanted, macs(looped.model, loops, 128));
    EXPECT_EQ(twin.reached, macs(twin.config.model, 1, 128));
    EXPECT_LE(std::abs(twin.deviation()), 0.005) << loops;
    EXPECT_GT(twin.config.model.core_layers, layers);
    layers = twin.config.model.core_layers;
  }
  EXPECT_EQ(plain_twin(looped, MatchBy::flops, 0, 128).wanted,
            macs(looped.model, looped.model.max_loop_iters, 128));
}

TEST(Twin, IsPlain) {
  Config looped = load_preset("nano");
  looped.model.halting = Halting::act;
  looped.model.initial_state = InitialState::zero;
  looped.train.loop_sampling = LoopSampling::set;
  looped.train.loop_set = "1 2 4";
  looped.objectives.per_loop = 0.5;
  const Twin twin = plain_twin(looped, MatchBy::parameters, 0, 256);
  const ModelConfig& model = twin.config.model;
  EXPECT_EQ(model.max_loop_iters, 1);
  EXPECT_EQ(model.prelude_layers + model.coda_layers, 0);
  EXPECT_EQ(model.ffn, FeedForward::dense);
  EXPECT_EQ(model.injection, Injection::none);
  EXPECT_EQ(model.halting, Halting::none);
  EXPECT_EQ(twin.config.train.loop_sampling, LoopSampling::fixed);
  EXPECT_EQ(twin.config.objectives, ObjectivesConfig{});
  EXPECT_EQ(parse_config(to_toml(twin.config), "twin.toml"), twin.config);
}

TEST(Twin, LeavesOutWhatIsAboutLoops) {
  Config looped = load_preset("nano");
  ModelConfig& model = looped.model;
  model.attention = Attention::gqa;
  model.value_embeddings = "2";
  model.ffn = FeedForward::dense;
  model.core_ffn_dim = 640;
  model.injection = Injection::linear;
  model.injection_norm = false;
  model.readout = true;
  model.final_norm = FinalNorm::twice;
  looped.validate();
  const Twin twin = plain_twin(looped, MatchBy::flops, 0, 256);
  EXPECT_LE(std::abs(twin.deviation()), 0.005);
  EXPECT_EQ(twin.config.model.core_dense_ffn_dim(), twin.config.model.ffn_dim);
  EXPECT_FALSE(twin.config.model.readout);
  EXPECT_EQ(twin.config.model.final_norm, FinalNorm::output);
}

TEST(Twin, IsNoneOfAModelBeyondTheMostLayers) {
  Config looped = load_preset("nano");
  looped.model.ffn = FeedForward::dense;
  looped.model.ffn_dim = 4096;
  looped.model.core_layers = 4096;
  const std::string error =
      error_of(ErrorKind::usage, [&] { plain_twin(looped, MatchBy::flops, 1 << 20, 256); });
  EXPECT_TRUE(contains(error, "no plain twin: none of up to 4096 layers")) << error;
}

}  // namespace
}  // namespace mythos
