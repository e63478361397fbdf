#include "train/balance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace mythos {
namespace {

TEST(RouterBalance, MovesTheBiasTowardsEvenLoad) {
  ModelConfig config;
  config.core_layers = 2;
  config.n_experts = 4;
  Parameters parameters(config, at::kCPU);
  parameters.initialize(config, 1);
  const Tensor loads = at::tensor({40, 10, 25, 25}, at::kLong);
  balance_router_bias(parameters, {loads, loads.flip(0)}, 0.5);
  const Tensor first = parameters.at("core.0.ffn.router_bias");
  const Tensor second = parameters.at("core.1.ffn.router_bias");
  EXPECT_TRUE(at::equal(first, at::tensor({-0.5F, 0.5F, 0.F, 0.F})));
  EXPECT_TRUE(at::equal(second, at::tensor({0.F, 0.F, 0.5F, -0.5F})));
  balance_router_bias(parameters, {loads}, 0.5);
  EXPECT_TRUE(at::equal(first, at::tensor({-1.F, 1.F, 0.F, 0.F})));
}

}  // namespace
}  // namespace mythos
