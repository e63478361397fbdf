#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
// Positions that halt at very different depths: their states and keys stay as they were.
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "../device.h"
#include "sample_model.h"

namespace mythos {
namespace {

// One configuration for each mechanism that meets halting, with layers that weigh.
std::vector<NamedConfig> halting_mechanisms() {
  std::vector<NamedConfig> out;
  const auto add = [&](const std::string& name, auto&& change) {
    out.push_back({name, small_config()});
    ModelConfig& c = out.back().config;
    c.halting = Halting::act;
    c.init_std = 0.2;
    change(c);
  };
  add("mla", [](ModelConfig&) {});
  add("mla_two_layers_dense",
      [](ModelConfig& c) { c.core_layers = 2, c.ffn = FeedForward::dense; });
  add("gqa", [](ModelConfig& c) { c.attention = Attention::gqa; });
  add("gqa_qk_norm_two_layers", [](ModelConfig& c) {
    c.attention = Attention::gqa, c.qk_norm = true, c.core_layers = 2, c.lora_rank = 0;
  });
  add("value_embeddings", [](ModelConfig& c) {
    c.attention = Attention::gqa, c.n_kv_heads = 3, c.value_embeddings = "0,1,2";
    c.attention_bias = AttentionBias::qkv, c.rope_pairing = RopePairing::halves;
  });
  add("zoh",
      [](ModelConfig& c) { c.injection = Injection::zoh, c.initial_state = InitialState::zero; });
  add("linear", [](ModelConfig& c) { c.injection = Injection::linear, c.prelude_norm = false; });
  add("gated", [](ModelConfig& c) { c.injection = Injection::gated; });
  add("add", [](ModelConfig& c) { c.injection = Injection::add; });
  add("none", [](ModelConfig& c) {
    c.injection = Injection::none, c.loop_embedding = LoopEmbedding::none, c.prelude_layers = 0;
  });
  return out;
}

// A model whose halting head tells positions apart: some halt in the first loop, some never.
Model spread_model(const ModelConfig& config, at::Device device) {
  Model model = sample_model(config, 3, device);
  const at::NoGradGuard no_grad;
  if (config.injection == Injection::linear) {  // at first it ignores the state
    Tensor injection = model.parameters.at("recurrent.injection.weight");
    at::manual_seed(5);
    injection.add_(at::randn_like(injection), 0.2);
  }
  Tensor weight = model.parameters.at("recurrent.halt.weight");
  const double target = config.injection == Injection::none ? 1.5 : 2.5;
  const Weights weights = make_weights(config, model.parameters, at::kFloat);
  ForwardOptions options;
  options.loops = 1;
  Tensor state;
  options.observer = [&](int64_t, const Tensor&, const Tensor& after) { state = after; };
  forward(config, weights, sample_ids(config, 2, 45, device), options);
  const Tensor scores = at::linear(state, weight);
  weight.mul_(target / scores.std());
  Tensor(model.parameters.at("recurrent.halt.bias"))
      .fill_(-1.5 - (scores.mean() * target / scores.std()).item<double>());
  return model;
}

class HaltedPositions : public OnDeviceTest<NamedConfig> {
 protected:
  HaltedPositions() { config().validate(); }
  const ModelConfig& config() const { return value().config; }
  Tensor ids_of(int64_t batch, int64_t length) const {
    return sample_ids(config(), batch, length, device_);
  }
  Weights weights() const { return make_weights(config(), model_.parameters, at::kFloat); }

  Model model_ = spread_model(config(), device_);
};

TEST_P(HaltedPositions, DepthsAreSpread) {
  const at::NoGradGuard no_grad;
  ForwardOptions options;
  options.loops = 6;
  const Tensor ids = ids_of(2, 45);
  const ForwardResult result = forward(config(), weights(), ids, options);
  const Tensor counts = result.loops_run.flatten().bincount();
  EXPECT_GE(counts.count_nonzero().item<int64_t>(), 4) << counts;
  EXPECT_GE(counts[6].item<int64_t>(), 3) << counts;
  EXPECT_TRUE(at::equal(result.loops_run, result.halt_weights.gt(0).sum(-1)));
}

TEST_P(HaltedPositions, StatesAreFrozen) {
  const at::NoGradGuard no_grad;
  ForwardOptions options;
  options.loops = 6;
  std::vector<Tensor> changed;
  options.observer = [&](int64_t, const Tensor& before, const Tensor& after) {
    changed.push_back((before != after).any(-1));
  };
  const ForwardResult result = forward(config(), weights(), ids_of(2, 45), options);
  for (size_t t = 0; t < changed.size(); ++t) {
    EXPECT_TRUE(at::equal(changed[t], result.loops_run.gt(static_cast<int64_t>(t)))) << t;
  }
}

TEST_P(HaltedPositions, KeysInLaterLoopsAreThoseOfTheLastLoopRun) {
  const at::NoGradGuard no_grad;
  const Weights w = weights();
  constexpr int64_t kLoops = 6, kTokens = 30;
  const auto cache = make_cache(config(), kLoops, 1, kTokens + 1, device_, at::kFloat);
  ForwardOptions options;
  options.loops = kLoops;
  options.cache = cache.get();
  const Tensor ids = ids_of(1, kTokens);
  const Tensor loops_run = forward(config(), w, ids, options).loops_run[0];
  const auto stored = [&](int64_t loop, int64_t layer) {
    const bool mla = config().attention == Attention::mla;
    const at::TensorOptions on = device_;
    const Tensor a = mla ? at::zeros({1, 1, config().kv_lora_rank + config().qk_rope_head_dim}, on)
                         : at::zeros({1, 1, config().core_key_heads(), config().head_dim()}, on);
    const auto all = cache->append({Section::core, layer, loop}, a, mla ? Tensor() : a);
    const Tensor keys = all.first[0].narrow(0, 0, kTokens).flatten(1);
    if (mla) return keys;
    return at::cat({keys, all.second[0].narrow(0, 0, kTokens).flatten(1)}, 1);
  };
  for (int64_t layer = 0; layer < config().core_layers; ++layer) {
    for (int64_t t = 1; t < kLoops; ++t) {
      const Tensor differs = (stored(t, layer) != stored(t - 1, layer)).any(-1);
      EXPECT_TRUE(at::equal(differs, loops_run.gt(t))) << t;
    }
  }
}

TEST_P(HaltedPositions, CachedInPiecesEqualsTheWhole) {
  const at::NoGradGuard no_grad;
  const Weights w = weights();
  const Tensor ids = ids_of(1, 45);
  for (const int64_t loops : {1, 2, 6}) {
    ForwardOptions options;
    options.loops = loops;
    const ForwardResult want = forward(config(), w, ids, options);
    const auto cache = make_cache(config(), loops, 1, 2, device_, at::kFloat);
    options.cache = cache.get();
    std::vector<Tensor> hidden, loops_run;
    int64_t begin = 0;
    for (const int64_t count : {21, 17, 4, 1, 1, 1}) {
      const ForwardResult part = forward(config(), w, ids.narrow(1, begin, count), options);
      hidden.push_back(part.hidden);
      loops_run.push_back(part.loops_run);
      begin += count;
    }
    EXPECT_TRUE(at::equal(at::cat(loops_run, 1), want.loops_run)) << loops;
    EXPECT_LE((at::cat(hidden, 1) - want.hidden).abs().max().item<double>(), 1e-4) << loops;
  }
}

// Everything that forward() gives, with halted positions skipped and with all computed.
void expect_same_without_skipping(const ModelConfig& config, const Weights& w, const Tensor& ids,
                                  ForwardOptions options) {
  options.count_experts = true;
  options.counted = ids.remainder(3).ne(0);
  std::vector<Tensor> states, masked_states;
  options.observer = [&](int64_t, const Tensor& before, const Tensor& after) {
    states.push_back(before.clone());
    states.push_back(after.clone());
  };
  const ForwardResult got = forward(config, w, ids, options);
  std::swap(states, masked_states);
  options.skip_halted = false;
  const ForwardResult want = forward(config, w, ids, options);
  std::swap(states, masked_states);
  ASSERT_TRUE(at::equal(got.loops_run, want.loops_run)) << got.loops_run << want.loops_run;
  EXPECT_LE((got.hidden - want.hidden).abs().max().item<double>(), 1e-4);
  EXPECT_LE((got.halt_weights - want.halt_weights).abs().max().item<double>(), 1e-5);
  EXPECT_LE((got.ponder - want.ponder).abs().max().item<double>(), 1e-5);
  for (size_t i = 0; i < want.expert_load.size(); ++i) {
    EXPECT_TRUE(at::equal(got.expert_load[i], want.expert_load[i])) << i;
  }
  ASSERT_EQ(states.size(), masked_states.size());
  for (size_t i = 0; i < states.size(); ++i) {
    EXPECT_LE((states[i] - masked_states[i]).abs().max().item<double>(), 1e-4) << i;
  }
}

TEST_P(HaltedPositions, SkippingEqualsComputingAll) {
  const at::NoGradGuard no_grad;
  for (const int64_t loops : {1, 2, 3, 6}) {
    ForwardOptions options;
    options.loops = loops;
    for (const int64_t length : {1, 7, 45}) {
      expect_same_without_skipping(config(), weights(), ids_of(3, length), options);
    }
    options.document_begins = at::zeros({2, 45}, at::TensorOptions(at::kInt).device(device_));
    options.document_begins[0].slice(0, 5).fill_(5);
    options.document_begins[1].slice(0, 40).fill_(40);
    expect_same_without_skipping(config(), weights(), ids_of(2, 45), options);
  }
}

// The halting head is given the positions that a loop computed.
TEST_P(HaltedPositions, OnlyRunningPositionsAreComputed) {
  if (!device_.is_cpu()) GTEST_SKIP() << "a kernel takes the place of the operator that is counted";
  const at::NoGradGuard no_grad;
  static int64_t computed;
  const auto count = [](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
    if (std::string(call.name()) != "aten::sigmoid") return nullptr;
    const Tensor x = call.inputs()[0].toTensor();
    // A vector is the gate of an injection, and value embeddings have one for each of 3 heads.
    if (x.dim() > 1 && x.size(-1) == 1) computed += x.numel();
    return nullptr;
  };
  ForwardOptions options;
  options.loops = 6;
  for (const bool skip : {false, true}) {
    options.skip_halted = skip;
    computed = 0;
    const auto handle =
        at::addThreadLocalCallback(at::RecordFunctionCallback(count).needsInputs(true));
    const ForwardResult result = forward(config(), weights(), ids_of(2, 45), options);
    at::removeCallback(handle);
    EXPECT_EQ(computed, skip ? result.loops_run.sum().item<int64_t>() : 2 * 45 * 6);
  }
}

TEST_P(HaltedPositions, SkippingWithACacheEqualsComputingAll) {
  const at::NoGradGuard no_grad;
  const Tensor ids = ids_of(1, 45);
  for (const int64_t loops : {2, 6}) {
    const auto skipped = make_cache(config(), loops, 1, 2, device_, at::kFloat);
    const auto whole = make_cache(config(), loops, 1, 2, device_, at::kFloat);
    int64_t begin = 0;
    for (const int64_t count : {21, 17, 4, 1, 1, 1}) {
      const Tensor piece = ids.narrow(1, begin, count);
      ForwardOptions options;
      options.loops = loops;
      options.cache = skipped.get();
      const ForwardResult got = forward(config(), weights(), piece, options);
      options.cache = whole.get();
      options.skip_halted = false;
      const ForwardResult want = forward(config(), weights(), piece, options);
      EXPECT_TRUE(at::equal(got.loops_run, want.loops_run));
      EXPECT_LE((got.hidden - want.hidden).abs().max().item<double>(), 1e-4) << begin;
      begin += count;
    }
  }
}

TEST_P(HaltedPositions, SkippingStaysNearFp32InBf16) {
  const at::NoGradGuard no_grad;
  const Weights narrow = make_weights(config(), model_.parameters, at::kBFloat16);
  const Tensor ids = ids_of(2, 45);
  ForwardOptions options;
  options.loops = 6;
  const ForwardResult got = forward(config(), narrow, ids, options);
  options.skip_halted = false;
  const ForwardResult want = forward(config(), narrow, ids, options);
  // Rounding may carry a position over the threshold: most must agree.
  const Tensor same = got.loops_run.eq(want.loops_run);
  EXPECT_GE(same.to(at::kFloat).mean().item<double>(), 0.9);
  const Tensor difference = (got.hidden - want.hidden).to(at::kFloat).norm();
  EXPECT_LE((difference / want.hidden.to(at::kFloat).norm()).item<double>(), 0.05);
}

TEST_P(HaltedPositions, GradientsMatchFiniteDifferences) {
  const Tensor ids = ids_of(2, 9), targets = ids.roll(-1, 1);
  ForwardOptions options;
  options.loops = 5;
  options.count_experts = true;
  Tensor depths, load;  // a step across a threshold or to other experts has no derivative
  const auto loss = [&] {
    const ForwardResult result = forward(config(), weights(), ids, options);
    depths = result.loops_run;
    load = result.expert_load.empty() ? at::zeros({1}) : result.expert_load[0];
    return loss_sum(weights(), result.hidden, targets) + result.ponder.mean();
  };
  loss().backward();
  const Tensor depths_here = depths, load_here = load;
  EXPECT_GE(depths.flatten().bincount().count_nonzero().item<int64_t>(), 3) << depths;
  const at::NoGradGuard no_grad;
  int64_t compared = 0;
  for (const Parameters::Item& item : model_.parameters.items()) {
    if (!is_trained(item.use)) continue;
    ASSERT_TRUE(item.tensor.grad().defined()) << item.name;
    const double length = item.tensor.grad().norm().item<double>();
    if (length < 0.05) continue;  // below what a difference of fp32 losses resolves
    const Tensor direction = item.tensor.grad() / length;
    const double step = std::min(2e-2, 0.004 / length);
    Tensor value = item.tensor;
    const auto moved = [&](double by) {
      value.add_(direction, by);
      const double at = loss().item<double>();
      value.sub_(direction, by);
      return at::equal(depths, depths_here) && at::equal(load, load_here) ? at : NAN;
    };
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    if (std::isnan(slope)) continue;
    ++compared;
    EXPECT_NEAR(slope / length, 1.0, 0.05) << item.name;
  }
  EXPECT_GE(compared, 10);
}

// A segment takes the keys of the loop before it and hands on its own.
TEST_P(HaltedPositions, RecomputationChangesNothing) {
  const Tensor ids = ids_of(2, 9), targets = ids.roll(-1, 1);
  std::vector<Tensor> want;
  double loss = 0;
  for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
    ForwardOptions options;
    options.loops = 5;
    options.recompute = recompute;
    const Weights w = weights();
    const ForwardResult result = forward(config(), w, ids, options);
    const Tensor objective = loss_sum(w, result.hidden, targets) + result.ponder.mean();
    objective.backward();
    if (recompute == Recompute::none) loss = objective.item<double>();
    EXPECT_EQ(objective.item<double>(), loss);
    size_t i = 0;
    for (const Parameters::Item& item : model_.parameters.items()) {
      if (!is_trained(item.use)) continue;
      Tensor parameter = item.tensor;
      ASSERT_TRUE(parameter.grad().defined()) << item.name;
      if (recompute == Recompute::none) want.push_back(parameter.grad());
      EXPECT_LE((parameter.grad() - want[i]).norm().item<double>(),
                (device_.is_cpu() ? 1e-6 : 1e-5) * want[i].norm().item<double>() + 1e-12)
          << item.name << " " << static_cast<int>(recompute);
      ++i;
      parameter.mutable_grad() = Tensor();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, HaltedPositions,
                         testing::ValuesIn(on_each_device(halting_mechanisms())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

}  // namespace
}  // namespace mythos
