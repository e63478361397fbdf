#include "train/balance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../device.h"

namespace mythos {
namespace {

using RouterBalance = DeviceTest;

TEST_P(RouterBalance, MovesTheBiasTowardsEvenLoad) {
  ModelConfig config;
  config.core_layers = 2;
  config.n_experts = 4;
  Parameters parameters(config, device_);
  parameters.initialize(config, 1);
  const Tensor loads = at::tensor({40, 10, 25, 25}, at::kLong).to(device_);
  balance_router_bias(config, parameters, {loads, loads.flip(0)}, 0.5);
  const Tensor first = parameters.at("core.0.ffn.router_bias");
  const Tensor second = parameters.at("core.1.ffn.router_bias");
  EXPECT_TRUE(at::equal(first.cpu(), at::tensor({-0.5F, 0.5F, 0.F, 0.F})));
  EXPECT_TRUE(at::equal(second.cpu(), at::tensor({0.F, 0.F, 0.5F, -0.5F})));
  balance_router_bias(config, parameters, {loads}, 0.5);
  EXPECT_TRUE(at::equal(first.cpu(), at::tensor({-1.F, 1.F, 0.F, 0.F})));
}

// One expert below the mean and three above it would otherwise lower every step's mean.
TEST_P(RouterBalance, KeepsTheMeanOfTheBiasAtZero) {
  ModelConfig config;
  config.n_experts = 4;
  Parameters parameters(config, device_);
  parameters.initialize(config, 1);
  const Tensor bias = parameters.at("core.0.ffn.router_bias");
  bias.fill_(3);  // as an older checkpoint may have it
  for (int step = 1; step <= 50; ++step) {
    balance_router_bias(config, parameters, {at::tensor({4, 32, 32, 32}, at::kLong).to(device_)},
                        0.5);
    EXPECT_NEAR(bias.mean().item<double>(), 0, 1e-6) << step;
    EXPECT_NEAR((bias[0] - bias[1]).item<double>(), step, 1e-4);
  }
}

TEST_P(RouterBalance, StaysWhereTheStepIsSkipped) {
  ModelConfig config;
  config.n_experts = 4;
  Parameters parameters(config, device_);
  parameters.initialize(config, 1);
  const Tensor bias = parameters.at("core.0.ffn.router_bias");
  const Tensor load = at::tensor({4, 32, 32, 32}, at::kLong).to(device_);
  balance_router_bias(config, parameters, {load}, 0.5, at::ones({}).to(device_));
  EXPECT_EQ(bias.abs().max().item<float>(), 0);
  balance_router_bias(config, parameters, {load}, 0.5, at::zeros({}).to(device_));
  EXPECT_EQ(bias[0].item<float>(), 0.75F);
}

INSTANTIATE_TEST_SUITE_P(Devices, RouterBalance, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
