#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "../device.h"
#include "../scratch.h"
#include "alone.h"
#include "base/strings.h"
#include "fixture.h"

// Seed and scale of random first states, in every way of decoding.
namespace mythos {
namespace {

class RandomState : public OnDeviceTest<bool> {  // native or not
 protected:
  Decoder::Options options(int64_t seed, double scale) const {
    Decoder::Options options = fp32();
    options.native = value();
    options.state_seed = seed;
    options.state_scale = scale;
    options.prefill_chunk = 20;
    return options;
  }
  // Logits behind a prompt of 41 tokens and after each of three more.
  Tensor logits_of(const Model& model, const Decoder::Options& options) const {
    Decoder decoder(model, options);
    const auto cache = decoder.make_cache(3, 64);
    const Tensor out = at::empty({4, model.config.vocab_size});
    const auto row = [&](int64_t i) { return out.data_ptr<float>() + i * out.size(1); };
    decoder.prefill(*cache, std::span(ids_).first(41), row(0));
    for (size_t i = 1; i < 4; ++i) {
      Decoder::Row token{cache.get(), ids_[40 + i], 0, row(static_cast<int64_t>(i)), 0};
      decoder.step({&token, 1});
    }
    return out;
  }
  // What one pass over the whole gives for these.
  Tensor whole(const Model& model, int64_t seed, double scale) const {
    const at::NoGradGuard no_grad;
    const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
    ForwardOptions pass;
    pass.loops = 3;
    pass.state_seed = seed;
    pass.state_scale = scale;
    const std::vector<int64_t> ids(ids_.begin(), ids_.end());
    const Tensor input = at::tensor(ids, at::kLong).unsqueeze(0).to(device_);
    return logits(weights, forward(model.config, weights, input, pass).hidden)[0].slice(0, 40).to(
        at::kCPU);
  }
  static double distance(const Tensor& a, const Tensor& b) {
    return (a - b).abs().max().item<double>();
  }

  RandomState() {
    model_.config.initial_state = InitialState::random;
    for (uint32_t i = 0; i < 44; ++i) ids_.push_back((i * i * 7 + 3 * i + 5) % 61);
  }
  Model model_ = small_model(Attention::gqa, device_);
  std::vector<uint32_t> ids_;
};

INSTANTIATE_TEST_SUITE_P(Paths, RandomState, testing::ValuesIn(on_each_device<bool>({true, false})),
                         [](const auto& info) {
                           return info.param.device + (info.param.value ? "_native" : "_tensors");
                         });

TEST_P(RandomState, FollowsSeedAndScale) {
  const Tensor first = logits_of(model_, options(0, 1)), other = logits_of(model_, options(7, 1));
  EXPECT_LE(distance(first, whole(model_, 0, 1)), 1e-4);
  EXPECT_LE(distance(other, whole(model_, 7, 1)), 1e-4);
  EXPECT_LE(distance(logits_of(model_, options(7, 0.5)), whole(model_, 7, 0.5)), 1e-4);
  for (int64_t i = 0; i < 4; ++i) EXPECT_GE(distance(first[i], other[i]), 1e-2) << i;
}

TEST_P(RandomState, OfScaleZeroIsZero) {
  const Tensor got = logits_of(model_, options(7, 0));
  Model zero = model_;
  zero.config.initial_state = InitialState::zero;
  EXPECT_LE(distance(got, logits_of(zero, options(0, 1))), 1e-6);
}

TEST_P(RandomState, IsAskedForWhereItIsDrawn) {
  model_.config.initial_state = InitialState::zero;
  for (const auto& wrong : {options(7, 1), options(0, 0.5)}) {
    const std::string error = error_of(ErrorKind::usage, [&] { Decoder decoder(model_, wrong); });
    EXPECT_TRUE(contains(error, "state-seed and state-scale are about random")) << error;
  }
}

}  // namespace
}  // namespace mythos
