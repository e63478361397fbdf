#include "ops/attention/attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <memory>
#include <string>

#include "../device.h"
#include "device/cuda_library.h"
#include "ops/attention/attention_library.h"

namespace mythos {
namespace {

using at::Tensor;

// What an operator of LibTorch is given.
struct Call {
  int64_t queries, keys, heads, key_heads, width, value_width;
  at::ScalarType type;
  bool masked, causal;
};

bool is_half(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16;
}

// The conditions of LibTorch 2.11's flash and memory-efficient forms. cuDNN's takes more, but is
// refused where results must be deterministic and off while decoding.
bool flash_takes(const Call& call) {
  return is_half(call.type) && !call.masked && call.width == call.value_width &&
         call.width % 8 == 0 && call.width <= 192 && call.heads % call.key_heads == 0 &&
         (!call.causal || call.queries == call.keys);
}
bool memory_efficient_takes(const Call& call) {
  return call.heads == call.key_heads && call.width % 8 == 0 && call.value_width % 8 == 0 &&
         (!call.causal || call.queries == call.keys);
}

// The call that a plan comes to.
Call call_of(const AttentionShape& shape, const AttentionPlan& plan) {
  Call call = {shape.queries,   shape.keys, shape.heads,
               shape.key_heads, plan.width, plan.value_width,
               shape.type,      false,      false};
  call.masked = plan.form == AttentionForm::masked;
  call.causal = !call.masked && shape.queries > 1;
  if (plan.groups == GroupedHeads::repeated) call.key_heads = call.heads;
  if (plan.groups == GroupedHeads::as_queries) {
    call.queries = shape.heads / shape.key_heads;
    call.heads = call.key_heads;
  }
  return call;
}

TEST(AttentionPlan, NoShapeReachesTheFormThatKeepsScores) {
  int64_t plans = 0;
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const auto& [width, value_width] : {std::pair<int64_t, int64_t>{64, 64},
                                             {128, 128},
                                             {96, 64},
                                             {48, 32},
                                             {192, 128},
                                             {6, 4},
                                             {256, 256},
                                             {100, 100},
                                             {576, 512}}) {
      for (const int64_t key_heads : {1, 2, 8}) {
        for (const auto& [queries, keys] :
             {std::pair<int64_t, int64_t>{1, 1}, {1, 99}, {77, 77}, {16, 77}}) {
          for (const int flags : {0, 1, 2, 3}) {
            const AttentionShape shape = {queries,         keys,        8,    key_heads,
                                          width,           value_width, type, (flags & 1) != 0,
                                          (flags & 2) != 0};
            const AttentionPlan plan = attention_plan(shape);
            const Call call = call_of(shape, plan);
            const std::string what = testing::PrintToString(
                std::tuple(queries, keys, key_heads, width, value_width, toString(type), flags));
            EXPECT_GE(plan.width, width) << what;
            EXPECT_GE(plan.value_width, value_width) << what;
            if (shape.hides) {
              EXPECT_EQ(plan.form, AttentionForm::masked) << what;
            }
            if (plan.form == AttentionForm::flash) {
              Call square = call;
              square.queries = square.keys;  // it is called itself, whatever the lengths
              EXPECT_TRUE(shape.flash && flash_takes(square)) << what;
              EXPECT_LT(queries, keys) << what;
            } else {
              EXPECT_TRUE(memory_efficient_takes(call) || (shape.flash && flash_takes(call)))
                  << what;
            }
            ++plans;
          }
        }
      }
    }
  }
  EXPECT_EQ(plans, 3 * 9 * 3 * 4 * 4);
}

// A prompt in pieces and a token behind it, as GQA and MLA models of this project's presets ask.
TEST(AttentionPlan, KeysBeforeTheQueriesGoToFlashAttentionAndOneQueryKeepsItsKeys) {
  const AttentionPlan piece =
      attention_plan({512, 4096, 32, 8, 128, 128, at::kBFloat16, false, true});
  EXPECT_EQ(piece.form, AttentionForm::flash);
  EXPECT_EQ(piece.groups, GroupedHeads::kept);
  const AttentionPlan latent =
      attention_plan({512, 4096, 16, 16, 96, 64, at::kBFloat16, false, true});
  EXPECT_EQ(latent.form, AttentionForm::flash);
  EXPECT_EQ(latent.value_width, 96);
  const AttentionPlan token =
      attention_plan({1, 4096, 32, 8, 128, 128, at::kBFloat16, false, true});
  EXPECT_EQ(token.form, AttentionForm::plain);
  EXPECT_EQ(token.groups, GroupedHeads::as_queries);
  const AttentionPlan documents =
      attention_plan({2048, 2048, 32, 8, 128, 128, at::kBFloat16, true, true});
  EXPECT_EQ(documents.form, AttentionForm::masked);
  EXPECT_EQ(documents.groups, GroupedHeads::repeated);
}

std::vector<Call> calls;
// Keeps what scaled_dot_product_attention is given while it lives.
class Listener {
 public:
  Listener() {
    calls.clear();
    const auto keep = [](const at::RecordFunction& record) -> std::unique_ptr<at::ObserverContext> {
      if (std::string(record.name()) != "aten::scaled_dot_product_attention") return nullptr;
      const auto in = record.inputs();
      const Tensor q = in[0].toTensor(), k = in[1].toTensor(), v = in[2].toTensor();
      calls.push_back({q.size(2), k.size(2), q.size(1), k.size(1), q.size(3), v.size(3),
                       q.scalar_type(), !in[3].isNone(), in[5].toBool()});
      return nullptr;
    };
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(keep).needsInputs(true));
  }
  ~Listener() { at::removeCallback(handle_); }

 private:
  at::CallbackHandle handle_;
};

// On a device LibTorch's form that keeps scores and cuDNN's are forbidden while it lives.
class WithoutMath {
 public:
  explicit WithoutMath(at::Device device) { at::globalContext().setSDPUseMath(device.is_cpu()); }
  ~WithoutMath() { at::globalContext().setSDPUseMath(true); }

 private:
  const WithoutCudnnAttention without_cudnn_;
};

class LibraryAttention : public OnDeviceTest<at::ScalarType> {
 protected:
  LibraryAttention() { at::manual_seed(7); }
  at::ScalarType type() const { return value(); }
  Tensor normal(at::IntArrayRef sizes) const {
    return at::randn(sizes).to(type()).to(device_).requires_grad_();
  }
  void expect_close(const Tensor& got, const Tensor& want, const std::string& what) const {
    ASSERT_EQ(got.sizes(), want.sizes()) << what;
    ASSERT_EQ(got.scalar_type(), want.scalar_type()) << what;
    const Tensor a = got.detach().to(at::kDouble), b = want.detach().to(at::kDouble);
    const double scale = std::max(1e-6, b.abs().max().item<double>());
    EXPECT_LE((a - b).abs().max().item<double>() / scale, type() == at::kFloat ? 2e-5 : 2e-2)
        << what;
  }
  static void expect_no_scores_kept() {
    for (const Call& call : calls) {
      EXPECT_TRUE(memory_efficient_takes(call) || flash_takes(call))
          << call.queries << " queries, " << call.keys << " keys, " << call.heads << " heads, "
          << call.key_heads << " key heads, widths " << call.width << " and " << call.value_width
          << (call.masked ? ", masked" : "") << (call.causal ? ", causal" : "");
    }
  }
};

struct Shape {
  int64_t S, P, H, K, d, dv;
};
const std::vector<Shape> kShapes = {
    {1, 1, 1, 1, 1, 1},    {1, 67, 6, 2, 16, 16},  {33, 33, 4, 4, 96, 64}, {40, 40, 6, 2, 16, 16},
    {9, 40, 6, 2, 16, 16}, {9, 40, 4, 4, 96, 64},  {7, 7, 4, 1, 6, 4},     {5, 21, 4, 2, 6, 4},
    {1, 30, 4, 2, 6, 4},   {6, 12, 2, 2, 192, 128}};

TEST_P(LibraryAttention, EqualsTheReferenceAndKeepsNoScores) {
  for (const Shape& s : kShapes) {
    for (const bool documents : {false, true}) {
      const std::string what = testing::PrintToString(std::tuple(s.S, s.P, s.H, s.K, documents));
      const std::vector<Tensor> inputs = {normal({2, s.S, s.H, s.d}), normal({2, s.P, s.K, s.d}),
                                          normal({2, s.P, s.K, s.dv})};
      Tensor first;
      if (documents) {
        first = at::arange(s.P - s.S, s.P, at::kInt).div(5, "floor").mul(5).expand({2, s.S});
        first = first.to(device_, at::kInt).contiguous();
      }
      Tensor out;
      std::vector<Tensor> gradients;
      {
        const WithoutMath without_math(device_);
        const Listener listener;
        out = library_attention(inputs[0], inputs[1], inputs[2], first);
        gradients = torch::autograd::grad({out.square().sum()}, inputs);
      }
      expect_no_scores_kept();
      // The listener heard it, unless flash attention itself was called.
      const bool has_flash = backend_of(inputs[0]) == Backend::cuda;
      const bool itself = has_flash && is_half(type()) && s.S > 1 && s.S < s.P;
      EXPECT_EQ(calls.size(), itself && !documents ? 0u : 1u) << what;
      const Tensor want = causal_attention_reference(inputs[0], inputs[1], inputs[2], first);
      expect_close(out, want, what);
      const auto wanted = torch::autograd::grad({want.square().sum()}, inputs);
      for (size_t i = 0; i < inputs.size(); ++i) {
        expect_close(gradients[i], wanted[i], what + " gradient " + std::to_string(i));
      }
    }
  }
}

TEST_P(LibraryAttention, OfRowsEqualsTheReferenceAndKeepsNoScores) {
  const at::NoGradGuard no_grad;
  for (const Shape& s : {Shape{0, 33, 4, 4, 96, 64}, {0, 70, 6, 2, 16, 16}, {0, 41, 3, 1, 6, 4}}) {
    PackedRows rows{{0, 3, 3, 4}, at::tensor({0, 5, 30, 17}, at::kInt).to(device_)};
    const Tensor first = at::tensor({0, 2, 30, 9}, at::kInt).to(device_);
    const Tensor q = normal({1, 4, s.H, s.d}), k = normal({3, s.P, s.K, s.d});
    const Tensor v = normal({3, s.P, s.K, s.dv});
    for (const Tensor& hidden : {Tensor(), first}) {
      Tensor out;
      {
        const WithoutMath without_math(device_);
        const Listener listener;
        out = library_attention_of_rows(q, k, v, rows, hidden);
      }
      EXPECT_EQ(calls.size(), 2u);
      expect_no_scores_kept();
      expect_close(out, attention_of_rows_reference(q, k, v, rows, hidden), "rows");
    }
  }
}

// Scores of some hundreds that differ by a few: bf16 would round them to multiples of 2. What they
// have in common comes from numbers that are no values.
TEST_P(LibraryAttention, LatentScoresAreFp32) {
  const at::NoGradGuard no_grad;
  const int64_t P = 50, H = 3, common = 6, rank = 14;
  const double scale = 0.25, size = is_half(type()) ? 16 : 4;
  const auto at_size = [&](std::vector<int64_t> shape) {
    shape.push_back(common);
    return at::full(shape, size, at::TensorOptions(type()).device(device_));
  };
  for (const int64_t S : {1, 4}) {
    for (const bool some : {false, true}) {
      const Tensor query = at::cat({normal({1, H, S, rank}) * 8, at_size({1, H, S})}, 3);
      const Tensor latents = at::cat({normal({1, P, rank}) * 0.5, at_size({1, P})}, 2);
      const Tensor position =
          (some ? at::arange(S, at::kInt) * 11 + 3 : at::arange(P - S, P, at::kInt)).to(device_);
      const auto wide = [](const Tensor& x) { return x.to(at::kDouble); };
      const Tensor keys = wide(latents).unsqueeze(1);
      const Tensor later = at::arange(P, position.options()) > position.unsqueeze(1);
      const Tensor scores =
          (at::matmul(wide(query), keys.transpose(2, 3)) * scale).masked_fill(later, -INFINITY);
      const Tensor want = at::matmul(scores.softmax(-1), keys.narrow(3, 0, rank)).to(type());
      const Tensor got = latent_attention(query, latents, rank, scale, some ? position : Tensor());
      expect_close(got, want, std::to_string(S) + (some ? " some" : " last"));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, LibraryAttention,
                         testing::ValuesIn(on_each_device(std::vector{at::kFloat, at::kBFloat16})),
                         [](const auto& info) {
                           return info.param.device +
                                  (info.param.value == at::kFloat ? "_fp32" : "_bf16");
                         });

TEST(WithoutCudnnAttention, IsOffWhileItLivesAndThenAsBefore) {
  for (const bool before : {true, false}) {
    at::globalContext().setSDPUseCuDNN(before);
    {
      const WithoutCudnnAttention without;
      EXPECT_FALSE(at::globalContext().userEnabledCuDNNSDP());
    }
    EXPECT_EQ(at::globalContext().userEnabledCuDNNSDP(), before);
  }
  at::globalContext().setSDPUseCuDNN(true);
}

}  // namespace
}  // namespace mythos
