// Weights that products share, their sums of gradients, and padded copies.
#include "ops/linear/weight.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/error.h"
#include "device/device.h"
#include "ops/linear/linear.h"
#include "ops/loss/linear_cross_entropy.h"
#include "ops/swiglu/swiglu.h"

namespace mythos {
namespace {

using at::Tensor;

TEST(Products, AddToFp32SumsByThemselvesOnCudaInNarrowTypes) {
  EXPECT_TRUE(adds_in_product(at::kCUDA, at::kBFloat16));
  EXPECT_TRUE(adds_in_product(at::kCUDA, at::kHalf));
  EXPECT_FALSE(adds_in_product(at::kCUDA, at::kFloat)) << "at::addmm_out() does as it is";
  EXPECT_FALSE(adds_in_product(at::kCPU, at::kBFloat16)) << "LibTorch has no such product there";
}

// A product beside which the sum is so large that rounding the product to bf16 would show.
TEST(Products, SumsOnCudaAreNotRounded) {
  at::Device device = at::kCPU;
  try {
    device = resolve_device("cuda");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  at::manual_seed(3);
  const Tensor a = at::randn({64, 24}).to(at::kBFloat16), b = at::randn({64, 40}).to(at::kBFloat16);
  const Tensor want = at::mm(a.to(at::kDouble).t(), b.to(at::kDouble));
  Tensor sum;
  for (int times = 1; times <= 2; ++times) {
    add_matmul_tn(sum, a.to(device), b.to(device));
    ASSERT_EQ(sum.scalar_type(), at::kFloat);
    EXPECT_LE((sum.cpu().to(at::kDouble) - want * times).abs().max().item<double>(), 1e-4) << times;
  }
}

TEST(LinearCrossEntropy, FormsMoreLogitsAtATimeOnCuda) {
  EXPECT_EQ(rows_at_a_time(at::kCPU, 32000), 524);
  EXPECT_EQ(rows_at_a_time(at::kCUDA, 32000), 8388);
  EXPECT_EQ(rows_at_a_time(at::kCPU, int64_t{1} << 25), 1);
}

TEST(Padding, WidthsAreMultiplesOf64InNarrowTypesOnCuda) {
  EXPECT_EQ(width_multiple(at::kCUDA, at::kBFloat16), 64);
  EXPECT_EQ(width_multiple(at::kCUDA, at::kHalf), 64);
  EXPECT_EQ(width_multiple(at::kCUDA, at::kFloat), 1);
  EXPECT_EQ(width_multiple(at::kCPU, at::kBFloat16), 1);
}

TEST(Padding, FillsEachPartWithZeros) {
  const Tensor w = at::arange(1, 13, at::kFloat).view({6, 2});
  const Tensor rows = padded(w, {0, 2, 4});
  ASSERT_EQ(rows.sizes(), at::IntArrayRef({8, 2}));
  EXPECT_TRUE(at::equal(rows.slice(0, 0, 3), w.slice(0, 0, 3)));
  EXPECT_TRUE(at::equal(rows.slice(0, 4, 7), w.slice(0, 3, 6)));
  EXPECT_EQ(rows.count_nonzero().item<int64_t>(), 12);

  const Tensor columns = padded(w, {1, 1, 5});
  ASSERT_EQ(columns.sizes(), at::IntArrayRef({6, 5}));
  EXPECT_TRUE(at::equal(columns.slice(1, 0, 2), w));
  EXPECT_EQ(columns.count_nonzero().item<int64_t>(), 12);

  EXPECT_TRUE(padded(w, {0, 2, 3}).is_same(w)) << "nothing is missing";
}

// A dense layer of width 10 filled up to 16, used twice, once through an operator that knows no
// shared weights: values and gradients are those without padding.
TEST(Padding, ChangesNeitherValuesNorGradients) {
  at::manual_seed(5);
  const Tensor x = at::randn({7, 6}).requires_grad_();
  const Tensor gate_up = at::randn({20, 6}).requires_grad_();
  const Tensor down = at::randn({6, 10}).requires_grad_();
  const auto run = [&](int64_t multiple) {
    const Tensor up = shared_weight(gate_up, at::kFloat, {0, 2, multiple});
    const Tensor back = shared_weight(down, at::kFloat, {1, 1, multiple});
    EXPECT_EQ(up.size(0), multiple == 1 ? 20 : 32);
    Tensor h = x;
    for (int i = 0; i < 2; ++i) h = apply_linear(swiglu(apply_linear(h, up)), back);
    const Tensor loss = h.square().sum() + at::matmul(swiglu(apply_linear(x, up)), back.t()).sum();
    std::vector<Tensor> all = torch::autograd::grad({loss}, {x, gate_up, down});
    all.push_back(loss);
    return all;
  };
  const auto want = run(1), got = run(16);
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), want[i].sizes()) << i;
    EXPECT_TRUE(got[i].is_contiguous()) << i;
    EXPECT_LE((got[i] - want[i]).abs().max().item<double>(),
              1e-5 * want[i].abs().max().item<double>())
        << i;
  }
}

}  // namespace
}  // namespace mythos
