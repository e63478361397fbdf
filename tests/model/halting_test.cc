#include "model/halting.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "sample_model.h"

namespace mythos {
namespace {

// Positions whose halting probability is `p` in every loop.
HaltingState run(const ModelConfig& config, Weights& weights, double p, int64_t loops,
                 at::Device device) {
  weights.core.halting.weight = at::zeros({1, config.dim}, device);
  weights.core.halting.bias = at::full({1}, std::log(p / (1 - p)), device);
  HaltingState state(config, loops);
  for (int64_t t = 0; t < loops; ++t)
    state.add(at::full({1, 2, config.dim}, t + 1.0, device), weights.core.halting);
  return state;
}

class Halting_ : public DeviceTest {
 protected:
  ModelConfig config_ = small_config();
  Weights weights_;
};

TEST_P(Halting_, AfterTheThresholdAPositionGetsTheRemainderOnce) {
  config_.halting = Halting::act_reference;
  const HaltingState state = run(config_, weights_, 0.4, 5, device_);
  const Tensor want = at::tensor({0.4f, 0.4f, 0.2f, 0.0f, 0.0f});
  EXPECT_TRUE(at::allclose(state.weights()[0][1].cpu(), want, 1e-5, 1e-6)) << state.weights();
  EXPECT_FALSE(state.running().any().item<bool>());
  // Three loops run, remainder 0.2.
  EXPECT_TRUE(at::allclose(state.ponder(), at::full({1, 2}, 3.2f, device_), 0, 1e-5));
  EXPECT_NEAR(state.output()[0][0][0].item<float>(), 0.4 * 1 + 0.4 * 2 + 0.2 * 3, 1e-5);
}

TEST_P(Halting_, TheReferenceLeavesAPositionThatNeverHaltsShort) {
  config_.halting = Halting::act_reference;
  const HaltingState state = run(config_, weights_, 0.1, 4, device_);
  EXPECT_NEAR(state.weights()[0][0].sum().item<float>(), 0.4f, 1e-5);
  EXPECT_TRUE(state.running().any().item<bool>());
}

TEST_P(Halting_, CorrectedWeightsAlwaysSumToOne) {
  config_.halting = Halting::act;
  for (const double p : {0.01, 0.1, 0.4, 0.7, 0.995}) {
    for (const int64_t loops : {1, 2, 4}) {
      const HaltingState state = run(config_, weights_, p, loops, device_);
      EXPECT_NEAR(state.weights()[0][0].sum().item<float>(), 1.0f, 1e-5) << p << " " << loops;
    }
  }
}

TEST_P(Halting_, StoppingWhenAllHaveHaltedChangesNothing) {
  const at::NoGradGuard no_grad;
  config_.halting = Halting::act;
  const Model model = sample_model(config_, 3, device_);
  Weights weights = make_weights(config_, model.parameters, at::kFloat);
  weights.core.halting.bias = at::full({1}, 3.0, device_);
  const Tensor ids = sample_ids(config_, 1, 6, device_);
  int64_t loops_run = 0;
  ForwardOptions options;
  options.loops = 8;
  options.observer = [&](int64_t, const Tensor&, const Tensor&) { ++loops_run; };
  const ForwardResult stopped = forward(config_, weights, ids, options);
  EXPECT_LT(loops_run, 8);
  EXPECT_EQ(stopped.halt_weights.size(2), 8);
  // The loops that are left out with a cache leave their keys there: the next token sees the same.
  const auto cache = make_cache(config_, 8, 1, 8, device_, at::kFloat);
  options.cache = cache.get();
  loops_run = 0;
  const ForwardResult pieces = forward(config_, weights, ids.narrow(1, 0, 5), options);
  EXPECT_LT(loops_run, 8);
  const ForwardResult last = forward(config_, weights, ids.narrow(1, 5, 1), options);
  EXPECT_TRUE(at::allclose(stopped.hidden.narrow(1, 0, 5), pieces.hidden, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(stopped.hidden.narrow(1, 5, 1), last.hidden, 1e-4, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Devices, Halting_, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
