#include "ops/linear/bf16_inference_cpu.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "ops/linear/bf16_products.h"
#include "ops/moe/moe.h"

namespace mythos {
namespace {

using at::Tensor;

class Bf16Inference : public testing::TestWithParam<WeightFormat> {
 protected:
  void SetUp() override {
    if (!cpu::has_bf16_products()) GTEST_SKIP() << "this processor has no AVX512-BF16";
    at::manual_seed(7);
  }
  static Tensor random(std::vector<int64_t> sizes) { return at::randn(sizes).to(at::kBFloat16); }
  // As inference holds it, and its values in fp32.
  static std::pair<Matrix, Tensor> weight(std::vector<int64_t> sizes) {
    const Matrix held = quantize(random(std::move(sizes)) / 8, GetParam());
    return {held, held.dense(at::kBFloat16).to(at::kFloat)};
  }
  static double error(const Tensor& got, const Tensor& want) {
    return ((got.to(at::kFloat) - want).abs() / (want.abs() + 1)).max().item<double>();
  }
};

TEST_P(Bf16Inference, LinearEqualsThePlainProductInOddShapes) {
  const at::NoGradGuard no_grad;
  for (const int64_t rows : {1, 2, 5, 6, 7, 13, 31, 97, 200}) {
    for (const int64_t columns : {32, 96, 256}) {
      for (const int64_t out : {1, 3, 4, 63, 64, 65, 130}) {
        const Tensor x = random({rows, columns});
        const auto [w, plain] = weight({out, columns});
        ASSERT_TRUE(cpu::linear_bf16_serves(x, w) || (cpu::has_amx() && rows > 16));
        const Tensor want = at::mm(x.to(at::kFloat), plain.t());
        EXPECT_LE(error(cpu::linear_bf16(x, w), want), 0.006)
            << rows << " x " << columns << " -> " << out;
      }
    }
  }
}

TEST_P(Bf16Inference, ARowIsTheSameInEveryCompany) {
  const at::NoGradGuard no_grad;
  const Tensor x = random({101, 160});
  const auto [w, plain] = weight({70, 160});
  const Tensor all = cpu::linear_bf16(x, w);
  for (const int64_t count : {1, 4, 6, 11, 50}) {
    EXPECT_TRUE(at::equal(cpu::linear_bf16(x.narrow(0, 33, count), w), all.narrow(0, 33, count)))
        << count;
  }
}

TEST_P(Bf16Inference, OnlyTheRowsOfTheWeightsAreWritten) {
  const Tensor x = random({7, 32}), w = random({6, 32});
  const Tensor packed = at::empty_like(x), y = at::full({7, 9}, -1.0f);
  const cpu::TiledRows rows(packed.data_ptr<c10::BFloat16>(), 7, 32);
  rows.for_rows(0, 0, rows.tiles(), [&](int64_t m, c10::BFloat16* to) {
    std::copy_n(x.data_ptr<c10::BFloat16>() + m * 32, 32, to);
  });
  cpu::bf16_products(w.data_ptr<c10::BFloat16>(), 6, rows, 0, rows.tiles(), y.data_ptr<float>(), 9);
  const Tensor want = at::mm(x.to(at::kFloat), w.to(at::kFloat).t());
  EXPECT_LE((y.narrow(1, 0, 6) - want).abs().max().item<double>(), 1e-4);
  EXPECT_TRUE(y.narrow(1, 6, 3).eq(-1).all().item<bool>());
}

TEST_P(Bf16Inference, ExpertsEqualTheReferenceHoweverTheTokensFall) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kExperts = 5, kWidth = 96, kHidden = 64;
  const auto [gate_up, plain_gate_up] = weight({kExperts, 2 * kHidden, kWidth});
  const auto [down, plain_down] = weight({kExperts, kWidth, kHidden});
  for (const int64_t tokens : {1, 3, 40, 211}) {
    const Tensor x = random({tokens, kWidth});
    const Tensor spread = at::stack({at::arange(tokens).remainder(3), at::full({tokens}, 4)}, 1);
    const Tensor skewed =
        at::stack({at::full({tokens}, 2), at::full({tokens}, 0)}, 1);  // others are empty
    for (const Tensor& experts : {spread, skewed}) {
      const Tensor weights = at::rand({tokens, 2});
      ASSERT_TRUE(cpu::moe_bf16_serves(x, experts, gate_up, down) || cpu::has_amx());
      const Tensor want =
          moe_swiglu_reference(x.to(at::kFloat), experts, weights, plain_gate_up, plain_down);
      EXPECT_LE(error(cpu::moe_bf16(x, experts, weights, gate_up, down), want), 0.02) << tokens;
    }
  }
}

TEST_P(Bf16Inference, WhatDoesNotFitIsLeftToOthers) {
  const auto [w, plain] = weight({8, 64});
  EXPECT_FALSE(cpu::linear_bf16_serves(at::ones({4, 64}), w)) << "fp32";
  EXPECT_FALSE(cpu::linear_bf16_serves(random({4, 40}), weight({8, 40}).first)) << "40 columns";
  if (GetParam() == WeightFormat::plain) {
    EXPECT_FALSE(cpu::linear_bf16_serves(random({4, 64}), random({64, 8}).t())) << "transposed";
  }
}

INSTANTIATE_TEST_SUITE_P(Weights, Bf16Inference,
                         testing::Values(WeightFormat::plain, WeightFormat::int8,
                                         WeightFormat::int4),
                         [](const auto& info) {
                           return std::string(
                               EnumNames<WeightFormat>::names[static_cast<size_t>(info.param)]);
                         });

}  // namespace
}  // namespace mythos
