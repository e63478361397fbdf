// Weights that products share and their sums of gradients.
#include "kernels/weight.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/linear.h"
#include "kernels/linear_cross_entropy.h"

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

}  // namespace
}  // namespace mythos
