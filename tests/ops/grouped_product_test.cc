#include "grouped_product.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/linear/weight.h"
#include "ops/moe/moe.h"

namespace mythos {
namespace {

using at::Tensor;

// Products of weight gradients that a backward pass over so many loops takes, each of so many rows
// with two experts of 16.
int64_t products(int64_t loops, int64_t rows) {
  const Tensor up = at::randn({16, 32, 32}).requires_grad_();
  const Tensor down = at::randn({16, 32, 16}).requires_grad_();
  const Tensor shared_up = shared_weight(up, at::kBFloat16);
  const Tensor shared_down = shared_weight(down, at::kBFloat16);
  Tensor loss = at::zeros({});
  for (int64_t t = 0; t < loops; ++t) {
    const Tensor first = at::randint(16, {rows}, at::kLong);
    const Tensor experts = at::stack({first, (first + 1).remainder(16)}, 1);
    const Tensor x = at::randn({rows, 32}).to(at::kBFloat16);
    const Tensor y = moe_swiglu(x, experts, at::ones({rows, 2}), shared_up, shared_down);
    loss = loss + y.to(at::kFloat).sum();
  }
  const int64_t before = emulation::grouped_weight_products();
  torch::autograd::grad({loss}, {up, down});
  return emulation::grouped_weight_products() - before;
}

// The up projection is 32 KiB of bf16, and a loop of 20 rows keeps 3840 bytes for it: 9 loops are
// one product. For the down projection they are 16 KiB and 2560 bytes: 7 loops.
TEST(GroupedProducts, SeveralLoopsAreOneProduct) {
  EXPECT_EQ(products(20, 20), 3 + 3);
  EXPECT_EQ(products(1, 20), 1 + 1);
}

TEST(GroupedProducts, RowsThatTakeMoreMemoryThanTheWeightAreNotKept) {
  EXPECT_EQ(products(4, 400), 4 + 4);
}

}  // namespace
}  // namespace mythos
