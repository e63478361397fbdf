#include "model/model.h"
#include "model/injection.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "../device.h"
#include "base/error.h"
#include "sample_model.h"

namespace mythos {
namespace {

class EveryMechanism : public OnDeviceTest<NamedConfig> {
 protected:
  EveryMechanism() { config().validate(); }
  const ModelConfig& config() const { return value().config; }
  Tensor ids_of(int64_t batch, int64_t length) const {
    return sample_ids(config(), batch, length, device_);
  }
};

// Logits of feeding `ids` through a cache in pieces of the given sizes.
Tensor cached_logits(const ModelConfig& config, const Weights& weights, const Tensor& ids,
                     int64_t loops, const std::vector<int64_t>& pieces) {
  const auto cache = make_cache(config, loops, ids.size(0), 2, ids.device(), weights.compute_type);
  std::vector<Tensor> out;
  int64_t begin = 0;
  for (const int64_t count : pieces) {
    ForwardOptions options;
    options.loops = loops;
    options.cache = cache.get();
    out.push_back(
        logits(weights, forward(config, weights, ids.narrow(1, begin, count), options).hidden));
    begin += count;
    EXPECT_EQ(cache->length(), begin);
  }
  return at::cat(out, 1);
}

TEST_P(EveryMechanism, CachedDecodingEqualsTheWholeForward) {
  const at::NoGradGuard no_grad;
  const Model model = sample_model(config(), 3, device_);
  const Weights weights = make_weights(config(), model.parameters, at::kFloat);
  const Tensor ids = ids_of(2, 45);
  for (const int64_t loops : {1, 3, 5}) {  // fewer and more than trained
    ForwardOptions options;
    options.loops = loops;
    const Tensor want = logits(weights, forward(config(), weights, ids, options).hidden);
    // Chunks over and under the size at which latent attention is absorbed, then single tokens.
    const Tensor got = cached_logits(config(), weights, ids, loops, {20, 18, 4, 1, 1, 1});
    EXPECT_LE((got - want).abs().max().item<double>(), 2e-5) << "loops " << loops;
  }
}

TEST_P(EveryMechanism, TheLastPositionAloneIsThatOfTheWhole) {
  const at::NoGradGuard no_grad;
  const Model model = sample_model(config(), 3, device_);
  const Weights weights = make_weights(config(), model.parameters, at::kFloat);
  const Tensor ids = ids_of(2, 37);
  const Tensor want = forward(config(), weights, ids).hidden;
  ForwardOptions options;
  options.last_only = true;
  const Tensor got = forward(config(), weights, ids, options).hidden;
  ASSERT_EQ(got.size(1), 1);
  EXPECT_LE((got - want.narrow(1, 36, 1)).abs().max().item<double>(), 2e-5);
  // And it leaves the same cache: what follows comes out alike.
  const auto whole = make_cache(config(), config().max_loop_iters, 2, 2, device_, at::kFloat);
  const auto last = make_cache(config(), config().max_loop_iters, 2, 2, device_, at::kFloat);
  const auto feed = [&](KvCache& cache, bool last_only) {
    ForwardOptions step;
    step.cache = &cache;
    step.last_only = last_only;
    forward(config(), weights, ids.narrow(1, 0, 30), step);
    step.last_only = false;
    return forward(config(), weights, ids.narrow(1, 30, 7), step).hidden;
  };
  EXPECT_LE((feed(*last, true) - feed(*whole, false)).abs().max().item<double>(), 2e-6);
}

TEST_P(EveryMechanism, ATokenNeverSeesLaterOnes) {
  const at::NoGradGuard no_grad;
  const Model model = sample_model(config(), 3, device_);
  const Weights weights = make_weights(config(), model.parameters, at::kFloat);
  Tensor ids = ids_of(1, 12);
  const Tensor before = logits(weights, forward(config(), weights, ids).hidden);
  ids = ids.clone();
  ids[0][9] = (ids[0][9] + 1) % config().vocab_size;
  const Tensor after = logits(weights, forward(config(), weights, ids).hidden);
  EXPECT_TRUE(at::allclose(before.narrow(1, 0, 9), after.narrow(1, 0, 9), 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(before.narrow(1, 9, 3), after.narrow(1, 9, 3), 1e-5, 1e-6));
}

TEST_P(EveryMechanism, PackedDocumentsAreReadAsIfEachStoodAlone) {
  const at::NoGradGuard no_grad;
  const Model model = sample_model(config(), 3, device_);
  const Weights weights = make_weights(config(), model.parameters, at::kFloat);
  const Tensor ids = ids_of(2, 40);
  ForwardOptions options;
  options.document_begins = at::zeros({2, 40}, ids.options().dtype(at::kInt));
  const int64_t cuts[2] = {13, 35};
  for (int64_t row = 0; row < 2; ++row) {
    options.document_begins[row].slice(0, cuts[row]).fill_(cuts[row]);
  }
  for (const int64_t loops : {1, 3}) {
    options.loops = loops;
    const Tensor packed = logits(weights, forward(config(), weights, ids, options).hidden);
    ForwardOptions alone;
    alone.loops = loops;
    for (int64_t row = 0; row < 2; ++row) {
      for (const auto& [begin, end] :
           {std::pair(int64_t{0}, cuts[row]), {cuts[row], int64_t{40}}}) {
        const Tensor document = ids.narrow(0, row, 1).slice(1, begin, end);
        const Tensor want = logits(weights, forward(config(), weights, document, alone).hidden);
        const Tensor got = packed.narrow(0, row, 1).slice(1, begin, end);
        EXPECT_LE((got - want).abs().max().item<double>(), 2e-5) << row << " " << loops;
      }
    }
  }
}

TEST_P(EveryMechanism, GradientsMatchFiniteDifferences) {
  const Model model = sample_model(config(), 3, device_);
  const Tensor ids = ids_of(2, 9), targets = ids.roll(-1, 1);
  const auto loss = [&] {
    const Weights weights = make_weights(config(), model.parameters, at::kFloat);
    return loss_sum(weights, forward(config(), weights, ids).hidden, targets);
  };
  loss().backward();
  const at::NoGradGuard no_grad;
  for (const Parameters::Item& item : model.parameters.items()) {
    if (!is_trained(item.use)) continue;
    ASSERT_TRUE(item.tensor.grad().defined()) << item.name;
    // Along the gradient the loss must rise as fast as the gradient is long.
    const double length = item.tensor.grad().norm().item<double>();
    if (length < 0.05) continue;  // below what a difference of fp32 losses resolves
    const Tensor direction = item.tensor.grad() / length;
    const double step = std::min(2e-2, 0.05 / length) + 1e-3;
    Tensor value = item.tensor;
    value.add_(direction, step);
    const double up = loss().item<double>();
    value.sub_(direction, 2 * step);
    const double down = loss().item<double>();
    value.add_(direction, step);
    EXPECT_NEAR((up - down) / (2 * step) / length, 1.0, 0.05) << item.name;
  }
}

TEST_P(EveryMechanism, Bf16StaysNearFp32) {
  const at::NoGradGuard no_grad;
  const Model model = sample_model(config(), 3, device_);
  const Tensor ids = ids_of(2, 16);
  const auto run = [&](at::ScalarType type) {
    const Weights weights = make_weights(config(), model.parameters, type);
    return logits(weights, forward(config(), weights, ids).hidden);
  };
  const Tensor wide = run(at::kFloat), narrow = run(at::kBFloat16);
  EXPECT_LE(((wide - narrow).norm() / wide.norm()).item<double>(), 0.05);
}

TEST_P(EveryMechanism, RepeatedExpertsAreThoseOfTheRoutes) {
  const Model model = sample_model(config(), 3, device_);
  const Weights weights = make_weights(config(), model.parameters, at::kFloat);
  const Tensor ids = ids_of(2, 11);
  ForwardOptions options;
  options.loops = 3;
  options.count_experts = options.count_repeats = options.collect.routes = true;
  options.counted = ids.remainder(3).ne(0);
  const ForwardResult result = forward(config(), weights, ids, options);
  if (config().ffn == FeedForward::dense) {
    EXPECT_TRUE(result.expert_repeats.empty());
    return;
  }
  const auto layers = static_cast<size_t>(config().core_layers);
  ASSERT_EQ(result.expert_repeats.size(), layers);
  const size_t run = result.routes.size() / layers;  // fewer loops where all positions halt
  ASSERT_TRUE(config().halting == Halting::none ? run == 3 : run >= 2);
  double all = 0;
  for (size_t layer = 0; layer < layers; ++layer) {
    for (size_t loop = 1; loop < run; ++loop) {
      const Routes &now = result.routes[loop * layers + layer],
                   &before = result.routes[(loop - 1) * layers + layer];
      double repeats = 0;
      for (int64_t row = 0; row < now.experts.size(0); ++row) {
        if (now.counted.defined() && !now.counted.flatten()[row].item<bool>()) continue;
        for (int64_t i = 0; i < now.experts.size(1); ++i) {
          repeats += before.experts[row].eq(now.experts[row][i]).any().item<bool>();
        }
      }
      EXPECT_EQ(result.expert_repeats[layer][static_cast<int64_t>(loop) - 1].item<double>(),
                repeats)
          << layer << " " << loop;
      all += repeats;
    }
  }
  EXPECT_GT(all, 0);
}

// Also of packed documents, and with the experts' tokens counted once.
TEST_P(EveryMechanism, RecomputationChangesNothing) {
  const Model model = sample_model(config(), 3, device_);
  const Tensor ids = ids_of(2, 11), targets = ids.roll(-1, 1);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    std::vector<Tensor> want, want_load;
    double loss = 0;
    for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
      ForwardOptions options;
      options.recompute = recompute;
      options.count_experts = config().ffn == FeedForward::moe;
      options.document_begins = at::zeros({2, 11}, ids.options().dtype(at::kInt));
      options.document_begins[1].slice(0, 6).fill_(6);
      const Weights weights = make_weights(config(), model.parameters, type);
      const ForwardResult result = forward(config(), weights, ids, options);
      Tensor objective = loss_sum(weights, result.hidden, targets);
      if (result.ponder.defined()) objective = objective + 0.1 * result.ponder.mean();
      objective.backward();
      size_t i = 0;
      for (const Parameters::Item& item : model.parameters.items()) {
        if (!is_trained(item.use)) continue;
        Tensor parameter = item.tensor;
        ASSERT_TRUE(parameter.grad().defined()) << item.name;
        if (recompute == Recompute::none) want.push_back(parameter.grad());
        // The order in which gradients of e and of what shares an input are added may differ.
        const double tolerance = type != at::kFloat ? 1e-2 : device_.is_cpu() ? 1e-6 : 1e-5;
        EXPECT_LE((parameter.grad() - want[i]).norm().item<double>(),
                  tolerance * want[i].norm().item<double>() + 1e-12)
            << item.name << " " << static_cast<int>(recompute);
        ++i;
        parameter.mutable_grad() = Tensor();
      }
      if (recompute == Recompute::none)
        loss = objective.item<double>(), want_load = result.expert_load;
      EXPECT_EQ(objective.item<double>(), loss);
      for (size_t layer = 0; layer < want_load.size(); ++layer) {
        EXPECT_TRUE(at::equal(result.expert_load[layer], want_load[layer]));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, EveryMechanism,
                         testing::ValuesIn(on_each_device(all_mechanisms())), [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

class ModelOf : public DeviceTest {
 protected:
  Tensor ids_of(int64_t batch, int64_t length) const {
    return sample_ids(config_, batch, length, device_);
  }

  const ModelConfig config_ = small_config();
  const Model model_ = sample_model(config_, 3, device_);
  const Weights weights_ = make_weights(config_, model_.parameters, at::kFloat);
};

INSTANTIATE_TEST_SUITE_P(Devices, ModelOf, testing::ValuesIn(test_devices()), device_name);

TEST_P(ModelOf, LossIsCrossEntropyOfTheLogitsAndSkipsPadding) {
  const Tensor ids = ids_of(2, 7);
  Tensor targets = ids.roll(-1, 1).clone();
  targets[1][3] = -1;
  const Tensor hidden = forward(config_, weights_, ids).hidden;
  const Tensor want = -logits(weights_, hidden)
                           .log_softmax(-1)
                           .gather(2, targets.clamp_min(0).unsqueeze(-1))
                           .squeeze(-1) *
                      targets.ge(0);
  EXPECT_TRUE(at::allclose(token_losses(weights_, hidden, targets), want, 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(loss_sum(weights_, hidden, targets, 0.5), 0.5 * want.sum(), 1e-5));
}

TEST_P(ModelOf, ObserverSeesEveryLoopInOrder) {
  int64_t calls = 0;
  Tensor last;
  ForwardOptions options;
  options.loops = 4;
  options.observer = [&](int64_t t, const Tensor& before, const Tensor& after) {
    EXPECT_EQ(t, calls++);
    if (last.defined()) {
      EXPECT_TRUE(at::equal(before, last));
    }
    last = after;
  };
  forward(config_, weights_, ids_of(1, 5), options);
  EXPECT_EQ(calls, 4);
}

TEST_P(ModelOf, ExpertLoadCountsEveryTokenOfEveryLoop) {
  ForwardOptions options;
  options.loops = 3;
  options.count_experts = true;
  const ForwardResult result = forward(config_, weights_, ids_of(2, 5), options);
  ASSERT_EQ(result.expert_load.size(), 1u);
  EXPECT_EQ(result.expert_load[0].sum().item<float>(), 2 * 5 * 3 * config_.n_experts_per_tok);
  options.counted = at::ones({2, 5}, at::TensorOptions(at::kBool).device(device_));
  options.counted[1].narrow(0, 2, 3).fill_(false);
  const ForwardResult some = forward(config_, weights_, ids_of(2, 5), options);
  EXPECT_EQ(some.expert_load[0].sum().item<float>(), 7 * 3 * config_.n_experts_per_tok);
}

TEST_P(ModelOf, ACacheMadeForFewerLoopsIsRefused) {
  const auto cache = make_cache(config_, 2, 1, 8, device_, at::kFloat);
  ForwardOptions options;
  options.loops = 3;
  options.cache = cache.get();
  EXPECT_THROW(forward(config_, weights_, ids_of(1, 4), options), Error);
}

// As drafts use it: few loops, then those tokens again with all.
TEST_P(ModelOf, ACacheMadeForMoreLoopsServesFewer) {
  const at::NoGradGuard no_grad;
  const Tensor ids = ids_of(1, 9);
  for (const Attention attention : {Attention::mla, Attention::gqa}) {
    ModelConfig config = config_;
    config.attention = attention;
    const Model model = sample_model(config, 3, device_);
    const Weights weights = make_weights(config, model.parameters, at::kFloat);
    const auto cache = make_cache(config, 5, 1, 2, device_, at::kFloat);
    const auto feed = [&](int64_t begin, int64_t count, int64_t loops) {
      ForwardOptions options;
      options.loops = loops;
      options.cache = cache.get();
      return forward(config, weights, ids.narrow(1, begin, count), options).hidden;
    };
    const auto whole = [&](int64_t loops) {
      ForwardOptions options;
      options.loops = loops;
      return forward(config, weights, ids, options).hidden;
    };
    const Tensor two = at::cat({feed(0, 6, 2), feed(6, 1, 2), feed(7, 2, 2)}, 1);
    EXPECT_LE((two - whole(2)).abs().max().item<double>(), 2e-5);
    cache->truncate(0);
    const Tensor five = at::cat({feed(0, 7, 5), feed(7, 2, 5)}, 1);
    EXPECT_LE((five - whole(5)).abs().max().item<double>(), 2e-5);
  }
}

TEST_P(ModelOf, TokensTruncatedFromTheCacheAreForgotten) {
  const at::NoGradGuard no_grad;
  const Tensor ids = ids_of(1, 10), other = (ids + 1) % config_.vocab_size;
  const auto cache = make_cache(config_, config_.max_loop_iters, 1, 4, device_, at::kFloat);
  ForwardOptions options;
  options.cache = cache.get();
  forward(config_, weights_, ids.narrow(1, 0, 6), options);
  forward(config_, weights_, other.narrow(1, 6, 4), options);
  cache->truncate(6);
  const Tensor again = forward(config_, weights_, ids.narrow(1, 6, 4), options).hidden;
  const Tensor want = forward(config_, weights_, ids).hidden.narrow(1, 6, 4);
  EXPECT_TRUE(at::allclose(again, want, 1e-4, 1e-5));
}

TEST(Transition, StaysInsideZeroAndOneAtTheExtremes) {
  for (const Injection injection : {Injection::lti, Injection::zoh}) {
    ModelConfig config = small_config();
    config.injection = injection;
    const Model model = sample_model(config);
    const at::NoGradGuard no_grad;
    const bool lti = injection == Injection::lti;
    const std::string prefix = "recurrent.injection.";
    for (const double rate : {-1e4, -100.0, -17.5, 0.0, 5.0, 100.0, 1e4}) {
      for (const double dt : {-1e4, -50.0, 0.0, 50.0, 1e4}) {
        Tensor(model.parameters.at(prefix + (lti ? "log_A" : "log_a"))).fill_(rate);
        Tensor(model.parameters.at(prefix + (lti ? "log_dt" : "dt_bias"))).fill_(dt);
        const Weights weights = make_weights(config, model.parameters, at::kFloat);
        const Tensor A = transition(config, weights.core.injection).diagonal;
        EXPECT_GT(A.min().item<float>(), 0.0f) << rate << " " << dt;
        EXPECT_LT(A.max().item<float>(), 1.0f) << rate << " " << dt;
        const Tensor hidden = forward(config, weights, sample_ids(config, 1, 4)).hidden;
        EXPECT_TRUE(at::isfinite(hidden).all().item<bool>()) << rate << " " << dt;
      }
    }
  }
}

}  // namespace
}  // namespace mythos
