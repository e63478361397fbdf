#include "train/objectives.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "../device.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace mythos {
namespace {

constexpr int64_t kLoops = 4;

Config objective_config(Halting halting, FeedForward ffn = FeedForward::dense) {
  Config config;
  ModelConfig& c = config.model;
  c.vocab_size = 30;
  c.dim = 16;
  c.n_heads = 2;
  c.kv_lora_rank = c.q_lora_rank = 8;
  c.qk_rope_head_dim = 4;
  c.qk_nope_head_dim = c.v_head_dim = 4;
  c.n_experts = 4;
  c.expert_dim = 8;
  c.max_loop_iters = kLoops;
  c.lora_rank = 2;
  c.init_std = 0.2;
  c.ffn = ffn;
  c.halting = halting;
  config.objectives.next_token = 0;
  return config;
}

// Sequences of which some positions have no target.
struct Sample {
  Tensor ids, targets;
};
Sample sample_of(int64_t rows, at::Device device) {
  const Tensor ids = (at::arange(rows * 7, at::kLong).square() * 3 + 5).remainder(30);
  Sample sample{ids.view({rows, 7}), ids.view({rows, 7}).roll(-1, 1)};
  sample.targets = sample.targets.clone();
  sample.targets.select(1, 6).fill_(-1);
  return {sample.ids.to(device), sample.targets.to(device)};
}

// A pass over a sample, and its objective for a step of one target: the sum over positions.
struct Pass {
  Tensor objective;
  ForwardResult result;
  double nats;
  std::vector<double> terms, depth;
};
std::vector<double> numbers(const Tensor& x) {
  const Tensor flat = x.detach().to(at::kCPU, at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}
Pass run(const Config& config, const Parameters& parameters, const Sample& sample,
         const Tensor& loss_scale = {}, Recompute recompute = Recompute::none) {
  Objectives objectives(config, 1, sample.ids.device());
  ForwardOptions options;
  options.loops = kLoops;
  options.recompute = recompute;
  options.collect = objectives.collect();
  options.counted = sample.targets.ge(0);
  const Weights weights = make_weights(config.model, parameters, at::kFloat);
  Pass out;
  out.result = forward(config.model, weights, sample.ids, options);
  out.objective = objectives.add(weights, out.result, sample.targets, kLoops, loss_scale);
  out.nats = objectives.nats().item<double>();
  out.terms = numbers(objectives.terms());
  out.depth = numbers(objectives.depth());
  return out;
}

struct Case {
  std::string name;
  Config config;
  bool gate_alone = false;  // the gradient is that of the gate's tensors
};
std::vector<Case> cases() {
  std::vector<Case> out;
  const auto add = [&](const std::string& name, Halting halting, auto&& change,
                       FeedForward ffn = FeedForward::dense) {
    out.push_back({name, objective_config(halting, ffn)});
    change(out.back().config.objectives);
  };
  const Halting none = Halting::none, act = Halting::act, gate = Halting::gate;
  add("per_loop", none, [](ObjectivesConfig& o) { o.per_loop = 1; });
  add("per_loop_act", act, [](ObjectivesConfig& o) { o.per_loop = 1; });
  add("gate", gate, [](ObjectivesConfig& o) { o.gate = 1, o.gate_entropy = 0.3; });
  add("gate_gain", gate, [](ObjectivesConfig& o) { o.gate_gain = 1, o.gate_gain_slope = 5; });
  out.back().gate_alone = true;
  add("ponder", gate, [](ObjectivesConfig& o) { o.ponder = 1, o.ponder_kl = 0.7; });
  add("ponder_cost_act", act, [](ObjectivesConfig& o) { o.ponder_cost = 1; });
  add("ponder_cost_gate", gate, [](ObjectivesConfig& o) { o.ponder_cost = 1; });
  add("gate_from_loop_2", gate, [](ObjectivesConfig& o) { o.gate = 1; });
  out.back().config.model.min_halt_loops = 2;
  add("ponder_from_loop_2", gate, [](ObjectivesConfig& o) { o.ponder = 1, o.ponder_kl = 0.7; });
  out.back().config.model.min_halt_loops = 2;
  add("fixed_point", none, [](ObjectivesConfig& o) { o.fixed_point = 1; });
  add("jacobian", none, [](ObjectivesConfig& o) { o.jacobian = 1; });
  add(
      "balance", none, [](ObjectivesConfig& o) { o.balance = 1; }, FeedForward::moe);
  add(
      "router_z", none, [](ObjectivesConfig& o) { o.router_z = 1; }, FeedForward::moe);
  add("sum", gate, [](ObjectivesConfig& o) {
    o.next_token = 0.5, o.per_loop = 2, o.gate = 1, o.ponder = 0.3, o.fixed_point = 0.1;
  });
  return out;
}

class EveryObjective : public OnDeviceTest<Case> {
 protected:
  EveryObjective() : parameters_(config().model, device_) {
    config().validate();
    parameters_.initialize(config().model, 2);
    if (config().model.ffn != FeedForward::moe) return;
    // The choice of experts stays what it is while weights change a little.
    const at::NoGradGuard no_grad;
    Tensor bias = parameters_.at("core.0.ffn.router_bias");
    bias[0] = 100, bias[2] = 100;
  }
  const Config& config() const { return value().config; }
  bool is_tested(const Parameters::Item& item) const {
    return is_trained(item.use) &&
           (!value().gate_alone || item.name.starts_with("recurrent.halt."));
  }
  Parameters parameters_;
};

TEST_P(EveryObjective, HasTheGradientOfFiniteDifferences) {
  const Sample sample = sample_of(3, device_);
  const auto objective = [&] { return run(config(), parameters_, sample).objective; };
  objective().backward();
  int64_t compared = 0;
  for (const Parameters::Item& item : parameters_.items()) {
    if (!is_tested(item)) {
      if (value().gate_alone && is_trained(item.use)) {
        EXPECT_FALSE(item.tensor.grad().defined()) << item.name;
      }
      continue;
    }
    if (!item.tensor.grad().defined()) continue;  // such as the coda's, or a gate's that is unused
    const double length = item.tensor.grad().norm().item<double>();
    if (length < 0.05) continue;  // below what a difference of fp32 sums resolves
    const Tensor direction = item.tensor.grad() / length;
    const double step = std::min(1e-2, 0.02 / length) + 5e-4;
    Tensor value = item.tensor.detach();
    value.add_(direction, step);
    const double up = objective().item<double>();
    value.sub_(direction, 2 * step);
    const double down = objective().item<double>();
    value.add_(direction, step);
    EXPECT_NEAR((up - down) / (2 * step) / length, 1.0, 0.05) << item.name;
    ++compared;
  }
  EXPECT_GE(compared, value().gate_alone ? 1 : 2);
}

TEST_P(EveryObjective, CountsOnlyPositionsWithTargets) {
  Sample whole = sample_of(3, device_);
  whole.targets.select(0, 1).fill_(-1);
  const auto row = [&](int64_t i) {
    return Sample{whole.ids.narrow(0, i, 1), whole.targets.narrow(0, i, 1)};
  };
  if (config().objectives.jacobian > 0) return;  // a row's direction is that of its seed
  const Pass all = run(config(), parameters_, whole);
  const Pass first = run(config(), parameters_, row(0)), last = run(config(), parameters_, row(2));
  const double sum = first.objective.item<double>() + last.objective.item<double>();
  EXPECT_NEAR(all.objective.item<double>(), sum, 1e-4 * std::abs(sum) + 1e-5);
  EXPECT_NEAR(all.nats, first.nats + last.nats, 1e-3);
  for (size_t i = 0; i < all.terms.size(); ++i) {
    EXPECT_NEAR(all.terms[i], first.terms[i] + last.terms[i], 1e-3) << i;
  }
  double depth = 0;
  for (const double count : all.depth) depth += count;
  EXPECT_NEAR(depth, config().model.halting == Halting::none ? 0 : 12, 1e-4);
  // What is shown is the terms without their weights.
  const std::vector<std::string> names = objective_terms(config().objectives);
  ASSERT_EQ(all.terms.size(), names.size());
  if (names.size() == 1) {
    EXPECT_NEAR(all.terms[0], all.objective.item<double>(), 1e-4);
  }
}

TEST_P(EveryObjective, TakesALossScale) {
  const Sample sample = sample_of(2, device_);
  const Tensor scale = at::full({}, 256.0F).to(device_);
  const Pass plain = run(config(), parameters_, sample);
  const Pass scaled = run(config(), parameters_, sample, scale);
  EXPECT_NEAR(scaled.objective.item<double>() / 256, plain.objective.item<double>(),
              1e-5 * std::abs(plain.objective.item<double>()));
  EXPECT_NEAR(scaled.nats, plain.nats, 1e-4);
}

TEST_P(EveryObjective, IsTheSameUnderRecomputation) {
  if (config().model.ffn == FeedForward::moe) return;  // refused
  const Sample sample = sample_of(2, device_);
  std::vector<Tensor> want;
  for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
    run(config(), parameters_, sample, {}, recompute).objective.backward();
    size_t i = 0;
    for (const Parameters::Item& item : parameters_.items()) {
      Tensor parameter = item.tensor;
      Tensor grad = parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
      if (recompute == Recompute::none) want.push_back(grad);
      EXPECT_LE((grad - want[i]).norm().item<double>(), 1e-5 * want[i].norm().item<double>() + 1e-9)
          << item.name;
      ++i;
      parameter.mutable_grad() = Tensor();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Terms, EveryObjective, testing::ValuesIn(on_each_device(cases())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

// L_t and p_t of each position in doubles, by the definitions.
struct Plain {
  std::vector<std::vector<double>> losses, exits, lambdas;
};
Plain plain(const Config& config, const Parameters& parameters, const Sample& sample,
            const ForwardResult& result) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(config.model, parameters, at::kFloat);
  Plain out;
  for (int64_t b = 0; b < sample.ids.size(0); ++b) {
    for (int64_t s = 0; s < 7; ++s) {
      const int64_t target = sample.targets[b][s].item<int64_t>();
      if (target < 0) continue;
      std::vector<double> losses, exits, lambdas;
      double stays = 1;
      for (int64_t t = 0; t < kLoops; ++t) {
        const Tensor scores =
            logits(weights, result.loop_hidden[static_cast<size_t>(t)])[b][s].to(at::kDouble);
        losses.push_back(-scores.log_softmax(-1)[target].item<double>());
        const double z = result.gate_logits[b][s][t].item<double>();
        const bool may = t + 1 >= config.model.min_halt_loops;
        const double lambda = !may ? 0 : t + 1 == kLoops ? 1 : 1 / (1 + std::exp(-z));
        lambdas.push_back(lambda);
        exits.push_back(lambda * stays);
        stays *= 1 - lambda;
      }
      out.losses.push_back(losses), out.exits.push_back(exits), out.lambdas.push_back(lambdas);
    }
  }
  return out;
}

// The value of a term, and that of its definition summed over positions.
void expect_term(
    Config config,
    const std::function<double(const std::vector<double>& losses, const std::vector<double>& exits,
                               const std::vector<double>& lambdas)>& definition) {
  for (const int64_t min_loops : {1, 3}) {
    config.model.min_halt_loops = min_loops;
    Parameters parameters(config.model, at::kCPU);
    parameters.initialize(config.model, 2);
    const Sample sample = sample_of(3, at::kCPU);
    const Pass found = run(config, parameters, sample);
    const Plain by_hand = plain(config, parameters, sample, found.result);
    double want = 0;
    for (size_t i = 0; i < by_hand.losses.size(); ++i) {
      want += definition(by_hand.losses[i], by_hand.exits[i], by_hand.lambdas[i]);
    }
    EXPECT_NEAR(found.objective.item<double>(), want, 1e-4 * std::abs(want)) << min_loops;
    for (size_t t = 0; t < found.depth.size() && t < kLoops; ++t) {
      double mass = 0;
      for (const auto& exits : by_hand.exits) mass += exits[t];
      EXPECT_NEAR(found.depth[t], mass, 1e-4) << t;
    }
  }
}

using Numbers = std::vector<double>;

TEST(Objectives, GateIsTheExpectedLossLessTheEntropy) {
  Config config = objective_config(Halting::gate);
  config.objectives.gate = 1;
  config.objectives.gate_entropy = 0.3;
  expect_term(config, [](const Numbers& losses, const Numbers& exits, const Numbers&) {
    double sum = 0;
    for (size_t t = 0; t < losses.size(); ++t) {
      sum += exits[t] * losses[t] + (exits[t] > 0 ? 0.3 * exits[t] * std::log(exits[t]) : 0);
    }
    return sum;
  });
}

TEST(Objectives, PonderAddsTheDivergenceFromATruncatedGeometricPrior) {
  Config config = objective_config(Halting::gate);
  config.objectives.ponder = 1;
  config.objectives.ponder_kl = 0.7;
  config.objectives.ponder_prior_loops = 3.5;
  expect_term(config, [](const Numbers& losses, const Numbers& exits, const Numbers&) {
    size_t first = 0;
    while (exits[first] == 0) ++first;
    const double leave = 1 / (3.5 - static_cast<double>(first));
    double sum = 0, stays = 1;
    for (size_t t = first; t < losses.size(); ++t) {
      const double prior = t + 1 == losses.size() ? stays : stays * leave;
      stays *= 1 - leave;
      sum += exits[t] * losses[t] + 0.7 * exits[t] * std::log(exits[t] / prior);
    }
    return sum;
  });
}

TEST(Objectives, GateGainLearnsWhetherAnotherLoopPays) {
  Config config = objective_config(Halting::gate);
  config.objectives.gate_gain = 1;
  config.objectives.gate_gain_slope = 5;
  config.objectives.gate_gain_threshold = 0.1;
  expect_term(config, [](const Numbers& losses, const Numbers&, const Numbers& lambdas) {
    double sum = 0;
    int64_t count = 0;
    for (size_t t = 0; t + 1 < losses.size(); ++t) {
      if (lambdas[t] == 0) continue;
      const double gain = std::max(0.0, losses[t] - losses[t + 1]);
      const double label = 1 / (1 + std::exp(-5 * (gain - 0.1)));
      sum -= label * std::log(1 - lambdas[t]) + (1 - label) * std::log(lambdas[t]);
      ++count;
    }
    return sum / static_cast<double>(count);
  });
}

TEST(Objectives, PonderCostOfAGateIsTheExpectedLoop) {
  Config config = objective_config(Halting::gate);
  config.objectives.ponder_cost = 1;
  config.objectives.per_loop = 0.5;
  expect_term(config, [](const Numbers& losses, const Numbers& exits, const Numbers&) {
    double sum = 0;
    for (size_t t = 0; t < losses.size(); ++t) {
      sum += static_cast<double>(t + 1) * exits[t] + 0.5 * losses[t] / kLoops;
    }
    return sum;
  });
}

TEST(Objectives, JacobianIsThatOfTheLastLoop) {
  Config config = objective_config(Halting::none);
  config.model.residual_init = ResidualInit::zero;  // blocks add nothing
  config.model.lora_rank = 0;
  config.model.injection = Injection::add;
  config.objectives.jacobian = 1;
  Parameters parameters(config.model, at::kCPU);
  parameters.initialize(config.model, 2);
  const Sample sample = sample_of(2, at::kCPU);
  const Pass found = run(config, parameters, sample);
  // The map of a loop is then h → h + e + its mark, and its Jacobian the identity.
  const Tensor gain = found.result.jacobian;
  EXPECT_LT((gain - 1).abs().max().item<double>(), 2e-3) << gain;
  EXPECT_NEAR(found.terms[0], 12, 0.02);
}

TEST(Objectives, BalanceIsOneWhereExpertsShareAlikeAndMoreElsewhere) {
  Config config = objective_config(Halting::none, FeedForward::moe);
  config.objectives.balance = 1;
  Parameters parameters(config.model, at::kCPU);
  parameters.initialize(config.model, 2);
  const Sample sample = sample_of(2, at::kCPU);
  // One expert takes everything: Σ f P = E/k · (P of the chosen).
  {
    const at::NoGradGuard no_grad;
    Tensor(parameters.at("core.0.ffn.router.weight")).zero_();
  }
  const Pass even = run(config, parameters, sample);
  EXPECT_NEAR(even.terms[0] / 12, 1, 1e-5);  // P is 1/E for all, f sums to E
}

TEST(Objectives, HaltBeginsAtTheChosenMean) {
  for (const Halting halting : {Halting::act, Halting::gate}) {
    for (const int64_t min_loops : {1, 2}) {
      Config config = objective_config(halting);
      config.model.halt_loops = 3;
      config.model.min_halt_loops = min_loops;
      config.objectives.next_token = 1;
      config.validate();
      Parameters parameters(config.model, at::kCPU);
      parameters.initialize(config.model, 2);
      const Pass found = run(config, parameters, sample_of(3, at::kCPU));
      double mean = 0;
      for (size_t t = 0; t < found.depth.size(); ++t) {
        mean += static_cast<double>(t + 1) * found.depth[t] / 18;
        EXPECT_TRUE(static_cast<int64_t>(t) + 1 >= min_loops || found.depth[t] == 0);
      }
      EXPECT_NEAR(mean, 3, 1e-4) << static_cast<int>(halting) << " " << min_loops;
    }
  }
}

TEST(Objectives, NothingIsCollectedForNextTokenAlone) {
  Config config = objective_config(Halting::none);
  config.objectives = {};
  const CollectOptions collect = Objectives(config, 1, at::kCPU).collect();
  EXPECT_FALSE(collect.all_loops() || collect.gate || collect.routes);
  EXPECT_TRUE(objective_terms(config.objectives).empty());
  EXPECT_EQ(depth_columns(config), 0);
}

// Halting while learning to continue a sequence: the mean depth stays off both ends.
double mean_depth_after_training(const Config& config) {
  Parameters parameters(config.model, at::kCPU);
  parameters.initialize(config.model, 4);
  GroupedOptimizer optimizer(parameters, config.train);
  double mean = 0;
  for (int64_t step = 0; step < config.train.steps; ++step) {
    Batch batch;
    batch.batch_size = 4;
    batch.seq_len = 12;
    for (int64_t i = 0; i < 48; ++i) {  // x → 2x + the one before, from varied beginnings
      const int64_t before =
          i % 12 < 2 ? (step * 7 + i) % 29 : batch.inputs[batch.inputs.size() - 2];
      const int64_t last = i % 12 < 2 ? 1 : batch.inputs.back();
      batch.inputs.push_back((2 * last + before) % 29);
    }
    for (size_t i = 0; i < 48; ++i) {
      batch.targets.push_back(i % 12 == 11 ? -1 : batch.inputs[i + 1]);
    }
    const StepResult result =
        forward_backward(config, parameters, {batch}, 44, config.model.max_loop_iters, at::kFloat);
    optimizer.step(1);
    optimizer.zero_grad();
    const std::vector<double> depth = numbers(result.depth);
    mean = 0;
    for (size_t t = 0; t < depth.size(); ++t) mean += static_cast<double>(t + 1) * depth[t] / 44;
  }
  return mean;
}

TEST(Objectives, HaltingStaysOffTheExtremes) {
  for (const Halting halting : {Halting::act, Halting::gate}) {
    Config config = objective_config(halting);
    config.model.init_std = 0.05;
    config.model.max_loop_iters = 6;
    config.model.halt_loops = 3;
    config.train.steps = 150;
    config.train.lr = 3e-3;
    config.train.loop_sampling = LoopSampling::fixed;
    if (halting == Halting::act) {
      config.objectives.next_token = 1;
      config.objectives.ponder_cost = 0.01;
    } else {
      config.objectives.ponder = 1;
    }
    config.validate();
    const double mean = mean_depth_after_training(config);
    EXPECT_GT(mean, 1.5) << static_cast<int>(halting);
    EXPECT_LT(mean, 5.5) << static_cast<int>(halting);
  }
}

}  // namespace
}  // namespace mythos
