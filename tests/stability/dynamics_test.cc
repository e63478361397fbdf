#include "stability/dynamics.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../device.h"
#include "stability/probe.h"
#include "stability/verdict.h"

namespace mythos {
namespace {

ModelConfig small_config(Injection injection) {
  ModelConfig config;
  config.vocab_size = 64;
  config.dim = 32;
  config.max_seq_len = 32;
  config.max_loop_iters = 4;
  config.attention = Attention::gqa;
  config.n_experts = 4;
  config.expert_dim = 16;
  config.injection = injection;
  config.lora_rank = 4;
  return config;
}

class Dynamics : public DeviceTest {
 protected:
  explicit Dynamics(Injection injection = Injection::lti)
      : config_(small_config(injection)), model_(config_) {}
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    model_.parameters = Parameters(config_, device_);
    model_.parameters.initialize(config_, 5);
  }
  void set(const std::string& name, const Tensor& value) {
    const at::NoGradGuard guard;
    model_.parameters.at(name).copy_(value);
  }
  void scale(const std::string& name, double factor) {
    const at::NoGradGuard guard;
    model_.parameters.at(name).mul_(factor);
  }
  Weights weights() const { return make_weights(config_, model_.parameters, at::kFloat); }
  DynamicsReport measure(int64_t loops) {
    return measure_dynamics(config_, weights(), random_probe(config_, 96, 1, device_), loops);
  }
  Verdict verdict(const DynamicsReport& dynamics) {
    return judge(spectral_report(config_, weights()), &dynamics, {});
  }

  ModelConfig config_;
  Model model_;
};

class DynamicsOfAdd : public Dynamics {
 protected:
  DynamicsOfAdd() : Dynamics(Injection::add) {}
};

TEST_P(Dynamics, AFreshModelSettles) {
  const DynamicsReport report = measure(12);
  ASSERT_EQ(report.loops.size(), 12u);
  EXPECT_EQ(report.tokens, 96);
  EXPECT_EQ(report.reference_loop, 4);
  EXPECT_EQ(report.first_nonfinite_loop, 0);
  EXPECT_TRUE(std::isnan(report.loops[0].contraction));
  for (size_t i = 1; i < report.loops.size(); ++i) {
    EXPECT_TRUE(report.loops[i].finite);
    EXPECT_GE(report.loops[i].state_max, report.loops[i].state_mean);
    EXPECT_GE(report.loops[i].change_max, report.loops[i].change_mean);
  }
  EXPECT_LT(report.growth, 2);
  EXPECT_TRUE(verdict(report).stable()) << verdict(report).line;
}

TEST_P(Dynamics, NumbersOfARecurrenceWithoutABlock) {
  // Output projections of 0 leave r = u, the normalised input, of norm 1; with gain B = 0 and
  // A = 1/2 the state obeys h ← h/2 + u.
  config_.loop_embedding = LoopEmbedding::none;
  set("core.0.attn.wo.weight", at::zeros_like(model_.parameters.at("core.0.attn.wo.weight")));
  set("core.0.ffn.experts.down", at::zeros_like(model_.parameters.at("core.0.ffn.experts.down")));
  scale("core.0.ffn.shared.down.weight", 0);
  scale("recurrent.lora.B", 0);
  scale("recurrent.injection.B", 0);
  set("recurrent.injection.log_A", at::full({32}, std::log(std::log(2.0))));
  const DynamicsReport report = measure(40);
  // The direction of u = (h + e)/‖h + e‖ settles on that of e, and the state on 2u.
  const LoopStatistics& last = report.loops.back();
  EXPECT_NEAR(last.state_mean, 2, 1e-3);
  EXPECT_NEAR(last.state_max, 2, 1e-3);
  EXPECT_NEAR(last.relative_change, 0, 1e-4);
  EXPECT_NEAR(last.cosine, 1, 1e-6);
  // Before that the distance to the fixed point halves at every loop.
  EXPECT_NEAR(report.loops[8].contraction, 0.5, 0.05);
  EXPECT_NEAR(report.growth, 1, 0.2);
}

TEST_P(DynamicsOfAdd, AModelBuiltToDivergeIsUnstable) {
  // The depth-wise LoRA adds to the block's output in proportion to it: with large factors the
  // state is multiplied at every loop.
  const Tensor pick = at::eye(32).slice(0, 0, 4);
  set("recurrent.lora.down.weight", pick);
  set("recurrent.lora.B", pick);
  set("recurrent.lora.scale.weight", at::full({4, 4}, 4.0));
  const DynamicsReport report = measure(12);
  EXPECT_GT(report.growth, 1000);
  EXPECT_GT(report.loops.back().contraction, 2);
  const Verdict result = verdict(report);
  EXPECT_FALSE(result.stable());
  EXPECT_NE(result.line.find("unstable: the state grows"), std::string::npos) << result.line;
  EXPECT_NE(result.line.find("(--max-growth)"), std::string::npos) << result.line;
}

TEST_P(DynamicsOfAdd, OverflowIsFoundAtTheLoopWhereItHappens) {
  const Tensor pick = at::eye(32).slice(0, 0, 4);
  set("recurrent.lora.down.weight", pick);
  set("recurrent.lora.B", pick);
  set("recurrent.lora.scale.weight", at::full({4, 4}, 1e12));
  const DynamicsReport report = measure(8);
  EXPECT_GE(report.first_nonfinite_loop, 3);
  EXPECT_LE(report.first_nonfinite_loop, 5);
  EXPECT_FALSE(report.loops.back().finite);
  EXPECT_TRUE(std::isnan(report.growth));
  EXPECT_NE(verdict(report).line.find("the state is not finite after loop"), std::string::npos);
}

TEST_P(Dynamics, AHugeStateThatHasSettledIsUnstable) {
  scale("core.0.attn.wo.weight", 1e27);
  const DynamicsReport report = measure(12);
  EXPECT_EQ(report.first_nonfinite_loop, 0);
  EXPECT_LT(report.growth, 10);
  EXPECT_NE(verdict(report).line.find("(--max-state)"), std::string::npos) << verdict(report).line;
}

TEST_P(Dynamics, ACodaThatOverflowsIsFound) {
  set("coda.0.attn.wo.weight",
      at::full_like(model_.parameters.at("coda.0.attn.wo.weight"), INFINITY));
  const DynamicsReport report = measure(8);
  EXPECT_EQ(report.first_nonfinite_loop, 0);
  EXPECT_FALSE(report.output_finite);
  EXPECT_FALSE(verdict(report).stable());
}

TEST_P(DynamicsOfAdd, AModelLeftAsItIsPasses) {
  const DynamicsReport report = measure(8);
  const Verdict result = verdict(report);
  EXPECT_TRUE(result.stable()) << result.line;
  EXPECT_NE(result.line.find("ρ(A) does not apply (injection add)"), std::string::npos);
}

TEST_P(Dynamics, BatchesAreWeighedByTheirTokens) {
  const std::vector<Tensor> batches = random_probe(config_, 96, 1, device_);
  const DynamicsReport together = measure_dynamics(config_, weights(), batches, 3);
  std::vector<Tensor> rows;
  for (const Tensor& batch : batches) {
    for (int64_t i = 0; i < batch.size(0); ++i) rows.push_back(batch.slice(0, i, i + 1));
  }
  const DynamicsReport apart = measure_dynamics(config_, weights(), rows, 3);
  EXPECT_EQ(apart.tokens, together.tokens);
  EXPECT_NEAR(apart.loops[2].state_mean, together.loops[2].state_mean, 1e-5);
  EXPECT_NEAR(apart.loops[2].relative_change, together.loops[2].relative_change, 1e-5);
}

TEST_P(Dynamics, GrowthOfFewLoopsCountsFromHalfOfThem) {
  EXPECT_EQ(measure(1).reference_loop, 1);
  EXPECT_EQ(measure(3).reference_loop, 2);
  EXPECT_EQ(measure(8).reference_loop, 4);
  EXPECT_EQ(measure(20).reference_loop, 4);
}

INSTANTIATE_TEST_SUITE_P(Devices, Dynamics, testing::ValuesIn(test_devices()), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, DynamicsOfAdd, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
