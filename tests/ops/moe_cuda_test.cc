// Routed experts beyond what the common tests of the kernels see: what LibTorch's grouped product
// refuses, and the gradients of many loops.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "../device.h"
#include "device/cuda_library.h"
#include "device/device.h"
#include "ops/linear/weight.h"
#include "ops/moe/moe.h"
#include "ops/moe/moe_cuda.h"

namespace mythos {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

struct Sizes {
  int64_t rows, width, hidden, experts, used;
};

struct Case {
  Tensor x, experts, weights, gate_up, down;
};

class RoutedExperts : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    at::manual_seed(11);
    if (GetParam() != "cpu" && backend_of(at::zeros({1})) != Backend::cpu) {
      GTEST_SKIP() << "the emulated kernels work on tensors of the CPU";
    }
    device_ = device_or_cpu(GetParam());
    skip_without(GetParam());
  }

  Tensor normal(at::IntArrayRef sizes) const {
    return at::randn(sizes).to(at::kBFloat16).to(device_).requires_grad_();
  }
  // Each row goes to two neighbouring experts of those in use.
  Tensor choice(int64_t rows, int64_t used) const {
    const Tensor first = at::randint(used, {rows}, at::kLong);
    return at::stack({first, (first + 1).remainder(used)}, 1).to(device_);
  }
  Case make(const Sizes& s, at::ScalarType type = at::kBFloat16) const {
    const auto as = [&](const Tensor& t) { return t.detach().to(type).requires_grad_(); };
    return {as(normal({s.rows, s.width})), choice(s.rows, s.used),
            at::rand({s.rows, 2}).to(device_).requires_grad_(),
            as(normal({s.experts, 2 * s.hidden, s.width})),
            as(normal({s.experts, s.width, s.hidden}))};
  }

  using Operator = std::function<Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const Tensor&)>;
  static Tensors with_gradients(const Case& c, Operator f) {
    const Tensor out = f(c.x, c.experts, c.weights, c.gate_up, c.down);
    const Tensor weight = at::linspace(-1, 2, out.numel(), out.options()).view_as(out).detach();
    Tensors all =
        torch::autograd::grad({(out * weight).sum()}, {c.x, c.weights, c.gate_up, c.down});
    all.push_back(out.detach());
    return all;
  }
  static void expect_close(const Tensor& got, const Tensor& want, double tolerance,
                           const std::string& what) {
    ASSERT_EQ(got.sizes(), want.sizes()) << what;
    if (want.numel() == 0) return;
    const Tensor a = got.detach().to(at::kDouble), b = want.detach().to(at::kDouble);
    const double scale = std::max(1e-6, b.abs().max().item<double>());
    EXPECT_LE((a - b).abs().max().item<double>() / scale, tolerance) << what;
  }
  static void expect_reference(const Case& c, Operator f, const std::string& what) {
    const Tensors got = with_gradients(c, f), want = with_gradients(c, moe_swiglu_reference);
    const double tolerance = c.x.scalar_type() == at::kFloat ? 2e-5 : 2e-2;
    for (size_t i = 0; i < got.size(); ++i) {
      expect_close(got[i], want[i], tolerance, what + ", result " + std::to_string(i));
    }
  }

  at::Device device_ = at::kCPU;
};

// Widths of whole 16 bytes and others, experts without rows, and more experts than LibTorch's
// grouped product has room for.
constexpr Sizes kSizes[] = {{40, 16, 24, 6, 6},
                            {40, 32, 16, 6, 3},
                            {40, 12, 20, 6, 3},
                            {30, 7, 3, 5, 5},
                            {60, 8, 8, 1030, 1030}};

TEST_P(RoutedExperts, WhateverTheirWidthAndNumber) {
  for (const Sizes& s : kSizes) {
    expect_reference(make(s), moe_swiglu, std::to_string(s.width) + " wide");
  }
}

TEST_P(RoutedExperts, PlainOperationsServeEveryWidthAndNumber) {
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    for (const Sizes& s : kSizes) {
      expect_reference(make(s, type), cuda::moe_swiglu_plain, std::to_string(s.width) + " wide");
    }
  }
  expect_reference(make({0, 16, 24, 3, 3}), cuda::moe_swiglu_plain, "no rows");
}

// Weights that lie in memory as LibTorch's grouped product would refuse them.
TEST_P(RoutedExperts, WeightsMayBeginAnywhere) {
  const at::NoGradGuard no_grad;
  const Case c = make({40, 16, 24, 6, 6});
  const auto moved = [](const Tensor& w) {
    return at::cat({w.flatten().narrow(0, 0, 1), w.flatten()}).narrow(0, 1, w.numel()).view_as(w);
  };
  const Tensor want = moe_swiglu(c.x, c.experts, c.weights, c.gate_up, c.down);
  for (const Operator& f : {Operator(moe_swiglu), Operator(cuda::moe_swiglu_plain)}) {
    expect_close(f(c.x, c.experts, c.weights, moved(c.gate_up), moved(c.down)), want, 2e-2, "");
  }
}

// Gradients that a running sum in bf16 would lose: the backward pass begins with the last loop, and
// each of the 39 others adds 1/1024 of it.
TEST_P(RoutedExperts, GradientsOfManyLoopsAreSummedInFp32) {
  const Case c = make({40, 32, 16, 6, 6});
  const Tensors parameters = {c.gate_up.detach().to(at::kFloat).requires_grad_(),
                              c.down.detach().to(at::kFloat).requires_grad_()};
  const auto gradients = [&](int loops) {
    const Tensor up = shared_weight(parameters[0], at::kBFloat16);
    const Tensor down = shared_weight(parameters[1], at::kBFloat16);
    Tensor loss = at::zeros({}, parameters[0].options());
    for (int t = 0; t < loops; ++t) {
      const Tensor y = moe_swiglu(c.x, c.experts, c.weights, up, down).to(at::kFloat);
      loss = loss + y.sum() * (t == loops - 1 ? 1.0 : 1.0 / 1024);
    }
    return torch::autograd::grad({loss}, parameters);
  };
  const Tensors one = gradients(1), all = gradients(40);
  for (size_t i = 0; i < 2; ++i) {
    expect_close(all[i], one[i] * (1 + 39.0 / 1024), 6e-3, "weight " + std::to_string(i));
  }
}

// Loops of different rows and experts, one without rows, and one that is computed again in the
// backward pass.
TEST_P(RoutedExperts, GradientsOfLoopsThatDiffer) {
  const Sizes sizes = {1, 32, 16, 16, 16};
  const Case c = make(sizes);
  const Tensors parameters = {c.gate_up.detach().to(at::kFloat).requires_grad_(),
                              c.down.detach().to(at::kFloat).requires_grad_()};
  std::vector<Case> loops;
  for (const int64_t rows : {20, 1, 33, 0, 7, 20, 90, 20, 20, 400, 20, 20}) {
    loops.push_back(make({rows, 32, 16, 1, 3 + rows % 13}));
  }
  const auto losses = [&](const Tensor& up, const Tensor& down, auto f) {
    Tensor loss = at::zeros({}, parameters[0].options());
    for (const Case& loop : loops) {
      const Tensor y = f(loop.x, loop.experts, loop.weights, up, down).to(at::kFloat);
      loss = loss + (y * at::linspace(-1, 2, 32, y.options().requires_grad(false))).sum();
    }
    return loss;
  };
  Tensors want = torch::autograd::grad(
      {losses(parameters[0].to(at::kBFloat16), parameters[1].to(at::kBFloat16),
              [](const Tensor& x, const Tensor& e, const Tensor& weights, const Tensor& up,
                 const Tensor& down) {
                return moe_swiglu_reference(x.to(at::kFloat), e, weights, up.to(at::kFloat),
                                            down.to(at::kFloat));
              })},
      parameters);
  const Tensor up = shared_weight(parameters[0], at::kBFloat16);
  const Tensor down = shared_weight(parameters[1], at::kBFloat16);
  const Operator kernel = moe_swiglu;
  const Tensor loss = losses(up, down, kernel);
  // What a segment does that computes its products again: they go to the sum of the outer graph.
  const Tensor up_leaf = weight_leaf(up), down_leaf = weight_leaf(down);
  const Tensors inner = torch::autograd::grad({losses(up_leaf, down_leaf, kernel)},
                                              {up_leaf, down_leaf}, {}, {}, false, true);
  EXPECT_FALSE(inner[0].defined() || inner[1].defined());
  const Tensors got = torch::autograd::grad({loss}, parameters);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got[i].scalar_type(), at::kFloat);
    expect_close(got[i], want[i] * 2, 1e-2, "weight " + std::to_string(i));
  }
}

// Without kernels of this project the gradients go to the same sum.
TEST_P(RoutedExperts, PlainGradientsAreSummedInFp32) {
  const Case c = make({40, 32, 16, 6, 6});
  const Tensor p = c.gate_up.detach().to(at::kFloat).requires_grad_();
  const auto gradient = [&](int loops) {
    const Tensor up = shared_weight(p, at::kBFloat16);
    Tensor loss = at::zeros({}, p.options());
    for (int t = 0; t < loops; ++t) {
      const Tensor y = cuda::moe_swiglu_plain(c.x, c.experts, c.weights, up, c.down);
      loss = loss + y.to(at::kFloat).sum() * (t == loops - 1 ? 1.0 : 1.0 / 1024);
    }
    return torch::autograd::grad({loss}, {p})[0];
  };
  expect_close(gradient(40), gradient(1) * (1 + 39.0 / 1024), 6e-3, "");
}

INSTANTIATE_TEST_SUITE_P(Devices, RoutedExperts, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
