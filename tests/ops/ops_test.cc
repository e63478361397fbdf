#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
// Every kernel against its plain reference, forward and gradient, over odd shapes, types and
// devices.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "../device.h"
#include "device/cuda_library.h"
#include "device/device.h"
#include "ops/attention/attention.h"
#include "ops/attention/rope.h"
#include "ops/embed/embed.h"
#include "ops/halting/halting.h"
#include "ops/inject/inject.h"
#include "ops/linear/linear.h"
#include "ops/linear/weight.h"
#include "ops/loss/cross_entropy.h"
#include "ops/loss/linear_cross_entropy.h"
#include "ops/moe/moe.h"
#include "ops/norm/rms_norm.h"
#include "ops/swiglu/swiglu.h"

namespace mythos {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;
using Operator = std::function<Tensor(const Tensors&)>;

struct Place {
  std::string device;
  at::ScalarType type;
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << place.device << ' ' << compute_type_name(place.type);
  }
};

class Kernels : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    at::manual_seed(7);
    if (GetParam().device != "cpu" && backend_of(at::zeros({1})) != Backend::cpu) {
      GTEST_SKIP() << "the emulated kernels work on tensors of the CPU";
    }
    device_ = device_or_cpu(GetParam().device);
    skip_without(GetParam().device);
  }

  at::ScalarType type() const { return GetParam().type; }
  Tensor normal(at::IntArrayRef sizes, at::ScalarType type) const {
    return at::randn(sizes).to(type).to(device_).requires_grad_();
  }
  Tensor normal(at::IntArrayRef sizes) const { return normal(sizes, type()); }

  // Outputs and the gradients of every floating input agree, relative to the largest entry.
  void expect_same(const Tensors& inputs, const Operator& kernel, const Operator& reference) {
    const auto [out, grads] = run(inputs, kernel);
    const auto [want, want_grads] = run(inputs, reference);
    exact_ = type() == at::kFloat && want.scalar_type() == at::kFloat;
    expect_close(out, want, "forward");
    for (size_t i = 0; i < grads.size(); ++i) {
      expect_close(grads[i], want_grads[i], "gradient of input " + std::to_string(i));
    }
    const at::NoGradGuard no_grad;
    expect_close(kernel(inputs), want, "forward without autograd");
  }

  void expect_same_cross_entropy(const Tensor& logits, const Tensor& targets) {
    exact_ = type() == at::kFloat;
    const Tensor want = cross_entropy_reference(logits, targets);
    const Tensor want_gradient = torch::autograd::grad({want.sum() * 0.5}, {logits})[0];
    Tensor copy = logits.detach().clone();
    expect_close(cross_entropy(copy, targets), want, "loss");
    expect_close(cross_entropy_gradient(copy, targets, 0.5), want, "loss beside the gradient");
    expect_close(copy, want_gradient, "gradient");
  }

 private:
  std::pair<Tensor, Tensors> run(const Tensors& inputs, const Operator& f) const {
    Tensors leaves, wanted;
    for (const Tensor& input : inputs) {
      leaves.push_back(input.detach().clone().requires_grad_(input.requires_grad()));
      if (input.requires_grad()) wanted.push_back(leaves.back());
    }
    const Tensor out = f(leaves);
    // In fp32: fp16 does not count that far.
    const auto options = out.options().dtype(at::kFloat).requires_grad(false);
    const Tensor weight = at::linspace(-1, 2, out.numel(), options).view_as(out).to(out.dtype());
    const auto grads = torch::autograd::grad({(out * weight).sum()}, wanted);
    return {out.detach(), grads};
  }

 protected:
  void expect_close(const Tensor& got, const Tensor& want, const std::string& what) const {
    ASSERT_EQ(got.sizes(), want.sizes()) << what;
    ASSERT_EQ(got.scalar_type(), want.scalar_type()) << what;
    const Tensor a = got.detach().to(at::kDouble), b = want.detach().to(at::kDouble);
    const double tolerance = got.scalar_type() == at::kFloat && exact_ ? 2e-5 : 2e-2;
    const double scale = std::max(1e-6, b.abs().max().item<double>());
    EXPECT_LE((a - b).abs().max().item<double>() / scale, tolerance) << what;
  }

  at::Device device_ = at::kCPU;
  bool exact_ = true;  // no step of the operator rounds to bf16 or fp16
};

TEST_P(Kernels, RmsNorm) {
  for (const int64_t width : {1, 7, 24, 257, 1100, 2048, 12288}) {
    const Tensors inputs = {normal({3, width > 500 ? 11 : 15, width}), normal({width}, at::kFloat)};
    for (const at::ScalarType out : {at::kFloat, at::kBFloat16, at::kHalf}) {
      if (out != at::kFloat && type() != at::kFloat && out != type()) continue;
      expect_same(
          inputs, [&](const Tensors& t) { return rms_norm(t[0], t[1], 1e-6, out); },
          [&](const Tensors& t) { return rms_norm_reference(t[0], t[1], 1e-6, out); });
    }
  }
}

TEST_P(Kernels, RmsNormOfASliceIsThatOfACopy) {
  const Tensor wide = normal({4, 30}).detach(), weight = normal({12}, at::kFloat).detach();
  const Tensor slice = wide.narrow(1, 9, 12);
  EXPECT_TRUE(at::equal(rms_norm(slice, weight, 1e-6), rms_norm(slice.clone(), weight, 1e-6)));
}

TEST_P(Kernels, AddRmsNorm) {
  for (const auto& [rows, width] : {std::pair<int64_t, int64_t>{40, 65}, {70, 24}, {33, 1032}}) {
    for (const bool shifted : {false, true}) {
      const Tensor shift = at::randn({width}).to(device_);
      const Tensors inputs = {normal({rows, width}), normal({rows, width}),
                              normal({width}, at::kFloat)};
      // The sum and its norm both carry gradient.
      expect_same(
          inputs,
          [&](const Tensors& t) {
            const auto [sum, norm] =
                add_rms_norm(t[0], t[1], shifted ? shift : Tensor(), t[2], 1e-5);
            return at::cat({sum, norm}, 1);
          },
          [&](const Tensors& t) {
            Tensor sum = t[0] + t[1];
            if (shifted) sum = (sum.to(at::kFloat) + shift).to(sum.scalar_type());
            return at::cat({sum, rms_norm_reference(sum, t[2], 1e-5)}, 1);
          });
    }
  }
}

TEST_P(Kernels, OperatorsOfNoRowsGiveNoRows) {
  const auto shape = [](const Tensor& t) { return t.sizes().vec(); };
  const Tensor x = normal({0, 16}), weight = normal({16}, at::kFloat);
  const Tensor norm = rms_norm(x, weight, 1e-5);
  EXPECT_EQ(shape(norm), shape(x));
  norm.sum().backward();
  EXPECT_EQ(weight.grad().abs().max().item<float>(), 0.0f);
  EXPECT_EQ(swiglu(x).size(0), 0);
  const auto [cos, sin] = rope_table(0, 0, 8, 10000, device_);
  EXPECT_EQ(rope(x.view({1, 0, 2, 8}), cos, sin, RopePairing::adjacent).size(1), 0);
  const Tensor none = at::zeros({0}, at::kLong).to(device_);
  EXPECT_EQ(cross_entropy(x, none).size(0), 0);
  const Tensor gate_up = normal({3, 10, 16}), down = normal({3, 16, 5});
  const Tensor y = moe_swiglu(x, none.view({0, 2}), at::zeros({0, 2}).to(device_), gate_up, down);
  EXPECT_EQ(shape(y), shape(x));
  y.sum().backward();
  EXPECT_EQ(gate_up.grad().abs().max().item<float>(), 0.0f);
  EXPECT_EQ(down.grad().abs().max().item<float>(), 0.0f);
}

// The gradients of what all rows share are written all the same: zeros.
TEST_P(Kernels, SharedGradientsOfNoRowsAreZero) {
  const auto wide = [&] { return normal({0, 16}, at::kFloat); };
  const auto row = [&] { return normal({16}, at::kFloat); };
  const auto expect_zero = [](const Tensor& out, const Tensors& shared) {
    EXPECT_EQ(out.numel(), 0);
    for (const Tensor& gradient : torch::autograd::grad({out.sum()}, shared)) {
      EXPECT_TRUE(at::equal(gradient, at::zeros_like(gradient))) << gradient;
    }
  };
  const Tensor A = row(), B = row(), norm = row();
  expect_zero(inject(wide(), wide(), normal({0, 16}), A, B), {A, B});
  expect_zero(add_rms_norm(normal({0, 16}), normal({0, 16}), {}, norm, 1e-5).second, {norm});
  const Tensor weight = normal({1, 16}, at::kFloat), bias = normal({1}, at::kFloat);
  const Tensor none = at::zeros({0}).to(device_);
  const HaltingStep before{at::zeros({0, 16}).to(device_), none, none, none, none, {}};
  expect_zero(halting_step(wide(), weight, bias, before, 0.9, false).output, {weight, bias});
  const Tensor table = normal({5, 16});
  expect_zero(apply_linear(normal({0, 16}), table), {table});
  Tensor logits = normal({0, 7}).detach();
  EXPECT_EQ(cross_entropy_gradient(logits, none.to(at::kLong), 1).size(0), 0);
}

TEST_P(Kernels, AddRmsNormOfWhichOnlyOneResultIsUsed) {
  const Tensors inputs = {normal({9, 33}), normal({9, 33}), normal({33}, at::kFloat)};
  const auto plain = [](const Tensors& t) { return rms_norm_reference(t[0] + t[1], t[2], 1e-5); };
  expect_same(
      inputs, [](const Tensors& t) { return add_rms_norm(t[0], t[1], {}, t[2], 1e-5).second; },
      plain);
  // The sum does not depend on the weight, which stays as it is here.
  expect_same(
      {inputs[0], inputs[1]},
      [&](const Tensors& t) { return add_rms_norm(t[0], t[1], {}, inputs[2], 1e-5).first; },
      [](const Tensors& t) { return t[0] + t[1]; });
}

TEST_P(Kernels, SwiGlu) {
  for (const int64_t width : {1, 7, 24, 257, 1032}) {
    expect_same(
        {normal({6, 7, 2 * width})}, [](const Tensors& t) { return swiglu(t[0]); },
        [](const Tensors& t) { return swiglu_reference(t[0]); });
  }
}

TEST_P(Kernels, SwiGluFarFromZero) {
  const Tensor x =
      at::tensor({-200.0f, -90.0f, 90.0f, 200.0f, 1.0f, 1.0f, 1.0f, 1.0f}, device_).to(type());
  const Tensor got = swiglu(x).to(at::kFloat);
  EXPECT_TRUE(at::isfinite(got).all().item<bool>()) << got;
  EXPECT_NEAR(got[3].item<float>(), 200.0f, 1.0f);
  EXPECT_NEAR(got[0].item<float>(), 0.0f, 1e-6f);
}

constexpr RopePairing kPairings[] = {RopePairing::adjacent, RopePairing::halves};

// Heads of 24 have halves of 12 numbers, which are no whole number of the widest chunks.
TEST_P(Kernels, Rope) {
  for (const RopePairing pairing : kPairings) {
    for (const int64_t width : {8, 24, 32}) {
      for (const int64_t kept : {0, 5, 8}) {
        const std::pair table = rope_table(3, 11, width, 500000, device_);
        const Tensor &cos = table.first, &sin = table.second;
        expect_same(
            {normal({2, 11, 3, width + kept})},
            [&](const Tensors& t) { return rope(t[0], cos, sin, pairing); },
            [&](const Tensors& t) { return rope_reference(t[0], cos, sin, pairing); });
      }
    }
  }
}

// Halves turn as adjacent pairs do whose channels are sorted anew: 0, 2, 4, …, 1, 3, 5, …
TEST_P(Kernels, RopeOfHalvesIsThatOfPairsInAnotherOrder) {
  const auto [cos, sin] = rope_table(3, 11, 8, 500000, device_);
  const Tensor x = normal({2, 11, 3, 12});
  const Tensor order = at::tensor({0, 1, 2, 3, 4, 6, 8, 10, 5, 7, 9, 11}, at::kLong).to(device_);
  const Tensor want = rope(x, cos, sin, RopePairing::adjacent).index_select(3, order);
  const Tensor got = rope(x.index_select(3, order), cos, sin, RopePairing::halves);
  EXPECT_TRUE(at::allclose(got, want, 1e-6, 1e-6));
  EXPECT_FALSE(at::allclose(rope(x, cos, sin, RopePairing::halves),
                            rope(x, cos, sin, RopePairing::adjacent), 1e-2, 1e-2));
}

// The query's part of a wider product, and one head of which no copy is made.
TEST_P(Kernels, RopeOfSlices) {
  const std::pair table = rope_table(0, 9, 16, 10000, device_);
  const Tensor &cos = table.first, &sin = table.second;
  const auto halves = [](const Tensor& x) {
    return std::pair(x.narrow(3, 16, 16), x.narrow(2, 1, 1));
  };
  for (const RopePairing pairing : kPairings) {
    const auto both = [&](const Tensor& x, const auto& turn) {
      const auto [half, head] = halves(x);
      return at::cat(
          {turn(half, cos, sin, pairing).flatten(), turn(head, cos, sin, pairing).flatten()});
    };
    expect_same(
        {normal({2, 9, 3, 48})}, [&](const Tensors& t) { return both(t[0], rope); },
        [&](const Tensors& t) { return both(t[0], rope_reference); });
  }
}

TEST_P(Kernels, RopeTableContinues) {
  const auto [cos, sin] = rope_table(0, 9, 8, 10000, device_);
  const auto [later_cos, later_sin] = rope_table(5, 4, 8, 10000, device_);
  EXPECT_TRUE(at::equal(cos.narrow(0, 5, 4), later_cos));
  EXPECT_TRUE(at::equal(sin.narrow(0, 5, 4), later_sin));
}

TEST_P(Kernels, Inject) {
  for (const auto& size : {std::pair<int64_t, int64_t>{1, 1}, {50, 33}, {700, 64}}) {
    const int64_t rows = size.first, width = size.second;
    const auto wide = [&] { return normal({rows, width}, at::kFloat); };
    const Tensors inputs = {wide(), wide(), normal({rows, width}), normal({width}, at::kFloat),
                            normal({width}, at::kFloat)};
    expect_same(
        inputs, [](const Tensors& t) { return inject(t[0], t[1], t[2], t[3], t[4]); },
        [](const Tensors& t) { return inject_reference(t[0], t[1], t[2], t[3], t[4]); });
  }
}

// Three loops, the last one forced: positions that halt in each of them, and one that never does
// by itself. Every result carries gradient.
TEST_P(Kernels, HaltingSteps) {
  for (const auto& size :
       {std::pair<int64_t, int64_t>{1, 1}, {40, 7}, {90, 24}, {21, 257}, {20, 1032}, {17, 12288}}) {
    const int64_t rows = size.first, width = size.second;
    const auto wide = [&] { return normal({rows, width}, at::kFloat); };
    // Scores no larger than those of 1032 columns: at the ends of the sigmoid nothing is exact.
    const double scale = std::min(1.0, std::sqrt(1032.0 / static_cast<double>(width)));
    Tensors inputs = {wide(), wide(), wide(), normal({1, width}, at::kFloat) * scale,
                      normal({1}, at::kFloat)};
    const auto loops = [&](const Tensors& t, const auto& step) {
      const Tensor none = at::zeros({rows}, t[0].options());
      HaltingStep state{at::zeros_like(t[0]), none, none, at::ones_like(none), none, {}};
      Tensors results;
      for (int loop = 0; loop < 3; ++loop) {
        state = step(t[loop], t[3], t[4], state, 0.9, loop == 2);
        results.push_back(state.output.flatten());
        for (const Tensor& x : {state.share, state.cumulative, state.running, state.steps}) {
          results.push_back(x);
        }
      }
      results.push_back(state.remainder);
      return at::cat(results);
    };
    expect_same(
        inputs, [&](const Tensors& t) { return loops(t, halting_step); },
        [&](const Tensors& t) { return loops(t, halting_step_reference); });
  }
}

// The state takes the layout of what it is made like, such as a transposed tensor.
TEST_P(Kernels, HaltingStepOfAStateOfAnotherLayout) {
  const Tensor weight = normal({1, 16}, at::kFloat), bias = normal({1}, at::kFloat);
  const auto turned = [&] { return at::rand({5, 7}).to(device_).t(); };
  const HaltingStep before{at::randn({5, 7, 16}).to(device_).transpose(0, 1),
                           turned(),
                           turned(),
                           turned(),
                           turned(),
                           {}};
  expect_same(
      {normal({7, 5, 16}, at::kFloat)},
      [&](const Tensors& t) { return halting_step(t[0], weight, bias, before, 0.9, false).output; },
      [&](const Tensors& t) {
        return halting_step_reference(t[0], weight, bias, before, 0.9, false).output;
      });
}

TEST_P(Kernels, Linear) {
  for (const auto& [rows, in, out] :
       {std::array<int64_t, 3>{1, 8, 5}, {33, 64, 48}, {257, 40, 96}}) {
    expect_same(
        {normal({rows, 1, in}), normal({out, in})},
        [](const Tensors& t) { return apply_linear(t[0], t[1]); },
        [](const Tensors& t) { return at::matmul(t[0], t[1].t()); });
  }
}

TEST_P(Kernels, CausalAttention) {
  struct Case {
    int64_t S, P, H, K, d, dv;
  };
  for (const Case& c :
       {Case{1, 1, 1, 1, 1, 1}, Case{5, 5, 2, 1, 7, 3}, Case{33, 33, 4, 4, 48, 32},
        Case{70, 70, 6, 2, 16, 16}, Case{9, 40, 3, 3, 24, 40}, Case{1, 67, 2, 1, 8, 8}}) {
    expect_same(
        {normal({2, c.S, c.H, c.d}), normal({2, c.P, c.K, c.d}), normal({2, c.P, c.K, c.dv})},
        [](const Tensors& t) { return causal_attention(t[0], t[1], t[2]); },
        [](const Tensors& t) { return causal_attention_reference(t[0], t[1], t[2]); });
  }
}

// Documents of random lengths, some of one token, some longer than a block of the kernel.
TEST_P(Kernels, CausalAttentionWithinDocuments) {
  struct Case {
    int64_t S, P, H, K, d, dv;
  };
  for (const Case& c : {Case{1, 1, 1, 1, 1, 1}, Case{33, 33, 4, 4, 48, 32},
                        Case{150, 150, 6, 2, 16, 16}, Case{100, 131, 3, 3, 24, 40}}) {
    for (const double density : {0.01, 0.05, 0.5}) {
      Tensor first = at::zeros({2, c.S}, at::kInt);
      for (int64_t b = 0; b < 2; ++b) {
        int begin = 0;
        for (int64_t s = 0; s < c.S; ++s) {
          if (at::rand({}).item<double>() < density) begin = static_cast<int>(c.P - c.S + s);
          first[b][s] = begin;
        }
      }
      first = first.to(device_);
      const Tensors inputs = {normal({2, c.S, c.H, c.d}), normal({2, c.P, c.K, c.d}),
                              normal({2, c.P, c.K, c.dv})};
      expect_same(
          inputs, [&](const Tensors& t) { return causal_attention(t[0], t[1], t[2], first); },
          [&](const Tensors& t) { return causal_attention_reference(t[0], t[1], t[2], first); });
    }
  }
}

// Some positions of each sequence: none, one, a few far apart, all.
TEST_P(Kernels, AttentionOfRows) {
  const at::NoGradGuard no_grad;
  struct Case {
    int64_t P, H, K, d, dv;
  };
  for (const Case& c : {Case{1, 1, 1, 1, 1}, Case{33, 4, 4, 48, 32}, Case{150, 6, 2, 16, 16},
                        Case{131, 3, 1, 24, 40}}) {
    for (const bool within_documents : {false, true}) {
      PackedRows rows{{0}, {}};
      std::vector<int32_t> positions, firsts;
      for (const double density : {0.0, 0.02, 1.0, 0.3}) {
        for (int64_t p = 0; p < c.P; ++p) {
          if (at::rand({}).item<double>() > density && p != c.P - 1) continue;
          if (density == 0.0 && c.P > 1) continue;
          positions.push_back(static_cast<int32_t>(p));
          firsts.push_back(static_cast<int32_t>(p - p % 37));
        }
        rows.begins.push_back(static_cast<int64_t>(positions.size()));
      }
      rows.position = at::tensor(positions, at::kInt).to(device_);
      const Tensor first = within_documents ? at::tensor(firsts, at::kInt).to(device_) : Tensor();
      const Tensor q = normal({1, rows.begins.back(), c.H, c.d});
      const Tensor k = normal({4, c.P, c.K, c.d}), v = normal({4, c.P, c.K, c.dv});
      expect_close(attention_of_rows(q, k, v, rows, first),
                   attention_of_rows_reference(q, k, v, rows, first), "forward");
    }
  }
}

// All positions of all sequences are what causal_attention computes.
TEST_P(Kernels, AttentionOfAllRowsIsCausalAttention) {
  const at::NoGradGuard no_grad;
  const Tensor q = normal({2, 70, 4, 16}), k = normal({2, 90, 2, 16}), v = normal({2, 90, 2, 8});
  const Tensor position = at::arange(20, 90, at::kInt).repeat({2}).to(device_);
  const Tensor got = attention_of_rows(q.reshape({1, 140, 4, 16}), k, v, {{0, 70, 140}, position});
  expect_close(got.view({2, 70, 4, 8}), causal_attention(q, k, v), "forward");
  EXPECT_THROW(attention_of_rows(q, k, v, {{0, 70, 139}, position}), Error);
}

TEST_P(Kernels, CausalAttentionFromTheFirstKeyIsTheWhole) {
  const Tensor q = normal({2, 70, 4, 16}), k = normal({2, 70, 2, 16}), v = normal({2, 70, 2, 8});
  const Tensor zeros = at::zeros({2, 70}, at::kInt).to(device_);
  const Tensor got = causal_attention(q, k, v, zeros), want = causal_attention(q, k, v);
  EXPECT_LE((got - want).abs().max().item<double>(), device_.is_cpu() ? 0 : 1e-2);
  EXPECT_THROW(causal_attention(q, k, v, zeros.to(at::kLong)), Error);
  EXPECT_THROW(causal_attention(q, k, v, zeros.narrow(1, 0, 60)), Error);
}

TEST_P(Kernels, CausalAttentionOfSlicesAndOfLargeScores) {
  const Tensor wide = normal({2, 12, 3, 30}).detach() * 40;
  const Tensor q = wide.narrow(3, 0, 10), k = wide.narrow(3, 10, 10), v = wide.narrow(3, 20, 7);
  const Tensor got = causal_attention(q, k, v);
  EXPECT_TRUE(at::equal(got, causal_attention(q.clone(), k.clone(), v.clone())));
  EXPECT_TRUE(at::isfinite(got).all().item<bool>());
  const double tolerance = type() == at::kFloat ? 1e-3 : 2.0;
  EXPECT_LE((got - causal_attention_reference(q, k, v)).abs().max().item<double>(), tolerance);
}

TEST_P(Kernels, Moe) {
  constexpr int64_t kExperts = 5;
  // Balanced, all on one expert, and with experts that no token chose.
  struct Case {
    int64_t rows, width, hidden;
  };
  for (const Case& c :
       {Case{37, 16, 24}, Case{1, 7, 3}, Case{300, 24, 17}, Case{9, 257, 3}, Case{20, 72, 40}}) {
    const int64_t rows = c.rows, width = c.width, hidden = c.hidden;
    for (const int64_t used : {5, 1, 3}) {
      for (const int64_t k : {int64_t{1}, std::min<int64_t>(used, 2)}) {
        const Tensor experts = at::stack([&] {
                                 Tensors chosen;
                                 for (int64_t n = 0; n < rows; ++n)
                                   chosen.push_back(at::randperm(used).narrow(0, 0, k));
                                 return chosen;
                               }())
                                   .to(device_);
        const Tensor weights = at::rand({rows, k}).to(device_).requires_grad_();
        const Tensors inputs = {normal({rows, width}), weights,
                                normal({kExperts, 2 * hidden, width}),
                                normal({kExperts, width, hidden})};
        expect_same(
            inputs, [&](const Tensors& t) { return moe_swiglu(t[0], experts, t[1], t[2], t[3]); },
            [&](const Tensors& t) {
              return moe_swiglu_reference(t[0], experts, t[1], t[2], t[3]);
            });
      }
    }
  }
}

// Losses, and the gradient that is written over the logits.
TEST_P(Kernels, CrossEntropy) {
  for (const int64_t classes : {2, 7, 24, 257, 2048}) {
    Tensor targets = at::randint(classes, {29}, at::kLong).to(device_);
    targets[4] = -1;
    expect_same_cross_entropy(normal({29, classes}), targets);
  }
}

TEST_P(Kernels, CrossEntropyOfForbiddenAndHugeLogits) {
  Tensor logits = (at::randn({4, 2056}) * 3).to(type());
  logits.narrow(1, 0, 1500).fill_(-std::numeric_limits<float>::infinity());
  logits[1][2000] = 3e4f;
  expect_same_cross_entropy(logits.to(device_).requires_grad_(),
                            at::tensor({1999, 2000, 2055, 1500}, at::kLong).to(device_));
}

TEST_P(Kernels, LinearCrossEntropy) {
  struct Case {
    int64_t rows, width, classes;
  };
  // The last one is more than one block of logits.
  for (const Case& c : {Case{1, 1, 2}, {29, 7, 17}, {40, 24, 300}, {65, 3, 300000}}) {
    Tensor targets = at::randint(c.classes, {c.rows}, at::kLong).to(device_);
    if (c.rows > 4) targets[4] = -1;
    for (const double scale : {1.0, 0.125}) {
      expect_same(
          {normal({c.rows, c.width}), normal({c.classes, c.width})},
          [&](const Tensors& t) { return linear_cross_entropy(t[0], t[1], targets, scale); },
          [&](const Tensors& t) {
            return linear_cross_entropy_reference(t[0], t[1], targets, scale);
          });
    }
  }
}

// Each row's loss, weighted by numbers that have a gradient themselves.
TEST_P(Kernels, LinearCrossEntropyOfRowsThatAreWeighted) {
  struct Case {
    int64_t rows, width, classes;
  };
  for (const Case& c : {Case{1, 1, 2}, {29, 7, 17}, {65, 3, 300000}}) {
    Tensor targets = at::randint(c.classes, {c.rows}, at::kLong).to(device_);
    if (c.rows > 4) targets[4] = -1;
    expect_same(
        {normal({c.rows, c.width}), normal({c.classes, c.width}), normal({c.rows})},
        [&](const Tensors& t) {
          return (t[2] * linear_cross_entropy_each(t[0], t[1], targets)).sum();
        },
        [&](const Tensors& t) {
          return (t[2] * linear_cross_entropy_each_reference(t[0], t[1], targets)).sum();
        });
  }
}

// The factor on the device is there before the gradients are rounded: without it those of fp16
// would be zero.
TEST_P(Kernels, LinearCrossEntropyTimesAScaleOnTheDevice) {
  const Tensor targets = at::randint(17, {29}, at::kLong).to(device_);
  const Tensor factor = at::full({}, 65536.0F).to(device_);
  const double scale = 0x1p-26;
  expect_same(
      {normal({29, 7}), normal({17, 7})},
      [&](const Tensors& t) { return linear_cross_entropy(t[0], t[1], targets, scale, factor); },
      [&](const Tensors& t) {
        return linear_cross_entropy_reference(t[0], t[1], targets, scale * 65536);
      });
}

// If all targets are -1, the loss and the gradients are zero.
TEST_P(Kernels, LinearCrossEntropyOfNothing) {
  const Tensor x = normal({5, 8}), w = normal({11, 8});
  const Tensor targets = at::full({5}, -1, at::kLong).to(device_);
  const Tensor loss = linear_cross_entropy(x, w, targets);
  EXPECT_EQ(loss.item<float>(), 0);
  for (const Tensor& gradient : torch::autograd::grad({loss}, {x, w})) {
    EXPECT_EQ(gradient.abs().max().item<float>(), 0);
  }
}

TEST_P(Kernels, LinearCrossEntropyOfEachRow) {
  const Tensor x = normal({65, 5}).detach(), w = normal({300000, 5}).detach();
  Tensor targets = at::randint(300000, {65}, at::kLong).to(device_);
  targets[64] = -1;
  const Tensor rows = linear_cross_entropy_rows(x, w, targets);
  for (const int64_t n : {0, 31, 63, 64}) {
    const Tensor want =
        linear_cross_entropy_reference(x.narrow(0, n, 1), w, targets.narrow(0, n, 1));
    EXPECT_NEAR(rows[n].item<float>(), want.item<float>(), 2e-2) << n;
  }
}

// Widths of the largest models, in chunks of 8 and not, and vocabularies.
TEST_P(Kernels, RowsOfTheLargestModels) {
  for (const int64_t width : {10922, 12287, 12288}) {
    const auto wide = [&] { return normal({3, width}, at::kFloat); };
    const auto row = [&] { return normal({width}, at::kFloat); };
    expect_same(
        {normal({3, width}), normal({3, width}), row()},
        [](const Tensors& t) { return add_rms_norm(t[0], t[1], {}, t[2], 1e-5).second; },
        [](const Tensors& t) { return rms_norm_reference(t[0] + t[1], t[2], 1e-5); });
    expect_same(
        {normal({3, 2 * width})}, [](const Tensors& t) { return swiglu(t[0]); },
        [](const Tensors& t) { return swiglu_reference(t[0]); });
    expect_same(
        {wide(), wide(), normal({3, width}), row(), row()},
        [](const Tensors& t) { return inject(t[0], t[1], t[2], t[3], t[4]); },
        [](const Tensors& t) { return inject_reference(t[0], t[1], t[2], t[3], t[4]); });
  }
  const std::pair table = rope_table(0, 2, 64, 10000, device_);
  expect_same(
      {normal({1, 2, 96, 128})},
      [&](const Tensors& t) { return rope(t[0], table.first, table.second, RopePairing::halves); },
      [&](const Tensors& t) {
        return rope_reference(t[0], table.first, table.second, RopePairing::halves);
      });
  for (const int64_t classes : {50257, 128256}) {
    expect_same_cross_entropy(normal({2, classes}),
                              at::tensor({classes - 1, int64_t{0}}, at::kLong).to(device_));
  }
}

// More rows than two bytes count.
TEST_P(Kernels, SixtyFiveThousandRows) {
  constexpr int64_t kRows = 65537;
  const auto wide = [&](at::ScalarType type) { return normal({kRows, 2}, type); };
  const auto row = [&] { return normal({2}, at::kFloat); };
  expect_same(
      {wide(type())}, [](const Tensors& t) { return swiglu(t[0]); },
      [](const Tensors& t) { return swiglu_reference(t[0]); });
  expect_same(
      {wide(at::kFloat), wide(at::kFloat), wide(type()), row(), row()},
      [](const Tensors& t) { return inject(t[0], t[1], t[2], t[3], t[4]); },
      [](const Tensors& t) { return inject_reference(t[0], t[1], t[2], t[3], t[4]); });
  const std::pair table = rope_table(0, kRows, 2, 10000, device_);
  expect_same(
      {normal({1, kRows, 1, 2})},
      [&](const Tensors& t) {
        return rope(t[0], table.first, table.second, RopePairing::adjacent);
      },
      [&](const Tensors& t) {
        return rope_reference(t[0], table.first, table.second, RopePairing::adjacent);
      });
}

// More chunks of slots than a warp has lanes, more experts than a block has threads, one token.
TEST_P(Kernels, MoeOfManySlotsAndOfManyExperts) {
  struct Case {
    int64_t rows, k, groups;
  };
  for (const Case& c : {Case{9000, 2, 7}, Case{400, 6, 300}, Case{1, 8, 64}}) {
    const Tensor experts = std::get<1>(at::rand({c.rows, c.groups}).topk(c.k, 1)).to(device_);
    const Tensor weights = at::rand({c.rows, c.k}).to(device_).requires_grad_();
    expect_same(
        {normal({c.rows, 8}), weights, normal({c.groups, 16, 8}), normal({c.groups, 8, 8})},
        [&](const Tensors& t) { return moe_swiglu(t[0], experts, t[1], t[2], t[3]); },
        [&](const Tensors& t) { return moe_swiglu_reference(t[0], experts, t[1], t[2], t[3]); });
  }
}

// One weight as tied head, embedding, expert and in two products and a plain operator: the sum of
// its gradients is what autograd makes of them.
TEST_P(Kernels, SharedWeight) {
  const auto targets = at::randint(48, {9}, at::kLong).to(device_);
  const auto ids = at::tensor({3, 47, 3, 0}, at::kLong).to(device_);
  const auto experts = at::tensor({0, 1, 1, 0, 1, 1, 0, 1, 1}, at::kLong).to(device_);
  Tensors inputs = {normal({9, 16}), normal({48, 16}, at::kFloat), normal({2, 16, 8}, at::kFloat),
                    normal({2, 16, 16}, at::kFloat)};
  // The products of three of them are beyond fp16.
  for (Tensor& input : inputs) input = (0.25 * input.detach()).requires_grad_();
  const auto uses = [&](const Tensors& t, const Tensor& w, const Tensor& down, const Tensor& up) {
    const Tensor x = apply_linear(apply_linear(t[0], w), w.t());
    const Tensor routed =
        moe_swiglu(t[0] + x, experts.unsqueeze(1), at::ones({9, 1}).to(device_), up, down);
    return linear_cross_entropy(apply_linear(routed, up[1]), w, targets) +
           embed(w, ids).to(at::kFloat).square().sum() +
           apply_linear(t[0], w).to(at::kFloat).square().sum();
  };
  expect_same(
      inputs,
      [&](const Tensors& t) {
        return uses(t, shared_weight(t[1], type()), shared_weight(t[2], type()),
                    shared_weight(t[3], type()));
      },
      [&](const Tensors& t) { return uses(t, t[1].to(type()), t[2].to(type()), t[3].to(type())); });
}

INSTANTIATE_TEST_SUITE_P(Places, Kernels,
                         testing::Values(Place{"cpu", at::kFloat}, Place{"cpu", at::kBFloat16},
                                         Place{"cpu", at::kHalf}, Place{"cuda", at::kFloat},
                                         Place{"cuda", at::kBFloat16}, Place{"cuda", at::kHalf}),
                         [](const auto& info) {
                           return info.param.device + "_" + compute_type_name(info.param.type);
                         });

}  // namespace
}  // namespace mythos
