#include "model/latent.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "../device.h"
#include "base/error.h"
#include "ops/embed/embed.h"
#include "sample_model.h"

namespace mythos {
namespace {

constexpr int64_t kLatent = 60;

ModelConfig with_latents(ModelConfig config) {
  config.latent_token = kLatent;
  return config;
}

// Ids without the latent token but for those places.
Tensor ids_with(const std::vector<std::vector<int64_t>>& places, int64_t length,
                at::Device device) {
  at::manual_seed(11);
  Tensor ids = at::randint(kLatent, {static_cast<int64_t>(places.size()), length}, at::kLong);
  for (size_t row = 0; row < places.size(); ++row) {
    for (const int64_t place : places[row]) ids[static_cast<int64_t>(row)][place] = kLatent;
  }
  return ids.to(device);
}

// Every sequence by itself: the states of a pass over all of it are the next thought's input.
Tensor hidden_by_plain_loop(ModelConfig config, const Weights& weights, const Tensor& ids) {
  config.latent_token = -1;
  std::vector<Tensor> out;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const Tensor own = ids.narrow(0, row, 1);
    ForwardOptions options;
    options.inputs = scaled_embedding(config, embed(weights.embed, own));
    for (int64_t place = 1; place < ids.size(1); ++place) {
      if (own[0][place].item<int64_t>() != kLatent) continue;
      const Tensor hidden = forward(config, weights, own, options).hidden;
      options.inputs = at::cat({options.inputs.slice(1, 0, place), hidden.narrow(1, place - 1, 1),
                                options.inputs.slice(1, place + 1)},
                               1);
    }
    out.push_back(forward(config, weights, own, options).hidden);
  }
  return at::cat(out, 0);
}

class LatentsOf : public OnDeviceTest<NamedConfig> {
 protected:
  const ModelConfig config_ = with_latents(value().config);
  const Model model_ = sample_model(config_, 3, device_);
  // Two that follow each other and one apart; one; none.
  const Tensor ids_ = ids_with({{3, 4, 8}, {6}, {}}, 11, device_);

  Weights weights(at::ScalarType type = at::kFloat) const {
    return make_weights(config_, model_.parameters, type);
  }
  std::vector<Tensor> gradients(const std::function<Tensor(const Weights&)>& hidden_states) const {
    const Weights w = weights();
    at::Tensor targets = ids_.roll(-1, 1);
    targets = targets.masked_fill(targets.eq(kLatent), -1);
    loss_sum(w, hidden_states(w), targets).backward();
    std::vector<Tensor> out;
    for (const Parameters::Item& item : model_.parameters.items()) {
      if (!is_trained(item.use)) continue;
      Tensor parameter = item.tensor;
      out.push_back(parameter.grad());
      parameter.mutable_grad() = Tensor();
    }
    return out;
  }
};

TEST_P(LatentsOf, StatesAreThoseOfAPlainLoop) {
  const at::NoGradGuard no_grad;
  const Weights w = weights();
  const Tensor got = forward(config_, w, ids_).hidden;
  const Tensor want = hidden_by_plain_loop(config_, w, ids_);
  EXPECT_LE((got - want).abs().max().item<double>(), 1e-4);
  // The thoughts tell: with the token's embedding instead the states behind them are others.
  ModelConfig off = config_;
  off.latent_token = -1;
  const Tensor without = forward(off, w, ids_).hidden;
  EXPECT_GT((got - without)[0].slice(0, 8).abs().max().item<double>(), 1e-3);
  EXPECT_LE((got - without)[2].abs().max().item<double>(), 1e-5);
}

TEST_P(LatentsOf, GradientsAreThoseOfAPlainLoop) {
  const auto got = gradients([&](const Weights& w) { return forward(config_, w, ids_).hidden; });
  const auto want =
      gradients([&](const Weights& w) { return hidden_by_plain_loop(config_, w, ids_); });
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LE((got[i] - want[i]).norm().item<double>(), 1e-3 * want[i].norm().item<double>() + 1e-6)
        << i;
  }
}

TEST_P(LatentsOf, RecomputationKeepsTheGradients) {
  const auto with = [&](Recompute recompute) {
    return gradients([&](const Weights& w) {
      ForwardOptions options;
      options.recompute = recompute;
      return forward(config_, w, ids_, options).hidden;
    });
  };
  const auto want = with(Recompute::none), got = with(Recompute::loop);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LE((got[i] - want[i]).norm().item<double>(), 1e-5 * want[i].norm().item<double>() + 1e-9)
        << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, LatentsOf, testing::ValuesIn(on_each_device(all_mechanisms())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

class Latents : public DeviceTest {
 protected:
  const ModelConfig config_ = with_latents(small_config());
  const Model model_ = sample_model(config_, 3, device_);
  const Weights weights_ = make_weights(config_, model_.parameters, at::kFloat);

  std::string error(const Tensor& ids, const ForwardOptions& options = {}) const {
    try {
      forward(config_, weights_, ids, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      return error.message();
    }
    return "none";
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, Latents, testing::ValuesIn(test_devices()), device_name);

// Dense layers, so that a small step changes no choice of experts; thoughts of a state near 1
// beside embeddings near 0 carry most of the loss.
TEST_P(Latents, GradientsMatchFiniteDifferences) {
  ModelConfig config = with_latents(small_config());
  config.ffn = FeedForward::dense;
  const Model model = sample_model(config, 3, device_);
  const Tensor ids = ids_with({{2, 3, 4}, {5}}, 8, device_);
  Tensor targets = ids.roll(-1, 1);
  targets = targets.masked_fill(targets.eq(kLatent), -1);
  const auto loss = [&] {
    const Weights weights = make_weights(config, model.parameters, at::kFloat);
    return loss_sum(weights, forward(config, weights, ids).hidden, targets);
  };
  loss().backward();
  const at::NoGradGuard no_grad;
  int compared = 0;
  for (const Parameters::Item& item : model.parameters.items()) {
    if (!is_trained(item.use)) continue;
    const double length = item.tensor.grad().norm().item<double>();
    if (length < 0.05) continue;  // below what a difference of fp32 losses resolves
    ++compared;
    const Tensor direction = item.tensor.grad() / length;
    const double step = std::min(1e-2, 0.05 / length) + 1e-3;
    Tensor value = item.tensor;
    value.add_(direction, step);
    const double up = loss().item<double>();
    value.sub_(direction, 2 * step);
    const double down = loss().item<double>();
    value.add_(direction, step);
    EXPECT_NEAR((up - down) / (2 * step) / length, 1.0, 0.05) << item.name;
  }
  EXPECT_GE(compared, 5);
}

TEST_P(Latents, DocumentsOfARowThinkAlone) {
  const at::NoGradGuard no_grad;
  const Tensor ids = ids_with({{2, 3, 8, 9}}, 12, device_);
  ForwardOptions options;
  options.document_begins = at::zeros({1, 12}, ids.options().dtype(at::kInt));
  options.document_begins[0].slice(0, 6).fill_(6);
  const Tensor packed = forward(config_, weights_, ids, options).hidden;
  for (const auto& [begin, end] : {std::pair(0, 6), {6, 12}}) {
    const Tensor want = forward(config_, weights_, ids.slice(1, begin, end)).hidden;
    EXPECT_LE((packed.slice(1, begin, end) - want).abs().max().item<double>(), 1e-4) << begin;
  }
}

TEST_P(Latents, ExpertsCountTheLastPassAlone) {
  ForwardOptions options;
  options.count_experts = true;
  options.loops = 2;
  const Tensor ids = ids_with({{3, 4}, {}}, 7, device_);
  const ForwardResult result = forward(config_, weights_, ids, options);
  EXPECT_EQ(result.expert_load[0].sum().item<double>(), 2 * 7 * 2 * config_.n_experts_per_tok);
}

TEST_P(Latents, AThoughtNeedsAStateBefore) {
  EXPECT_EQ(
      error(ids_with({{2}, {0}}, 5, device_)),
      "sequence 1 of the batch has a latent token (model.latent_token) at position 0, where a "
      "sequence begins: there is no state to continue.");
  ForwardOptions options;
  const Tensor ids = ids_with({{3}}, 5, device_);
  options.document_begins = at::zeros({1, 5}, ids.options().dtype(at::kInt));
  EXPECT_EQ(error(ids, options), "none");
  options.document_begins[0].slice(0, 3).fill_(3);
  EXPECT_EQ(
      error(ids, options),
      "sequence 0 of the batch has a latent token (model.latent_token) at position 3, where a "
      "document begins: there is no state to continue.");
}

TEST(LatentConfig, TheTokenIsOfTheVocabulary) {
  ModelConfig config = small_config();
  config.latent_token = config.vocab_size;
  EXPECT_THROW(config.validate(), Error);
  config.latent_token = config.vocab_size - 1;
  config.validate();
}

}  // namespace
}  // namespace mythos
