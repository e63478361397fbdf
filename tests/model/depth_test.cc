#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "../device.h"
#include "model/initial_state.h"
#include "sample_model.h"

// Random first states, and backpropagation through the last loops alone.
namespace mythos {
namespace {

Tensor states_of(const std::vector<int32_t>& seeds, int64_t first, int64_t count, int64_t channels,
                 double std, at::Device device) {
  return initial_states(at::tensor(seeds, at::kInt).to(device),
                        at::arange(first, first + count, at::kInt).to(device), channels, std);
}

using InitialStates = DeviceTest;
INSTANTIATE_TEST_SUITE_P(Devices, InitialStates, testing::ValuesIn(test_devices()), device_name);

TEST_P(InitialStates, AreNormalAndCutAtThreeDeviations) {
  const Tensor x = states_of({1, 2}, 0, 500, 200, 2, device_).to(at::kDouble) / 2;
  ASSERT_EQ(x.sizes(), (std::vector<int64_t>{2, 500, 200}));
  // The variance of a normal distribution cut at ±3 is 1 − 6 φ(3) / erf(3/√2) = 0.97334.
  EXPECT_NEAR(x.mean().item<double>(), 0, 0.01);
  EXPECT_NEAR(x.var().item<double>(), 0.97334, 0.01);
  EXPECT_LE(x.abs().max().item<double>(), 3.000001);
  EXPECT_GE(x.abs().max().item<double>(), 2.95);
  for (const double limit : {0.5, 1.0, 2.0}) {
    const double inside = x.abs().lt(limit).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(inside, std::erf(limit / std::sqrt(2)) / std::erf(3 / std::sqrt(2)), 0.005);
  }
}

TEST_P(InitialStates, OfNeighboursAreIndependent) {
  const Tensor x = states_of({1, 2}, 0, 300, 300, 1, device_).to(at::kDouble);
  const auto correlation = [](const Tensor& a, const Tensor& b) {
    return (a * b).mean().item<double>();
  };
  EXPECT_NEAR(correlation(x[0], x[1]), 0, 0.015);
  EXPECT_NEAR(correlation(x.narrow(1, 0, 299), x.narrow(1, 1, 299)), 0, 0.012);
  EXPECT_NEAR(correlation(x.narrow(2, 0, 299), x.narrow(2, 1, 299)), 0, 0.012);
  EXPECT_NEAR(correlation(x[0], x[0].t()), 0, 0.02);
}

TEST_P(InitialStates, AreFunctionsOfSeedPositionAndChannel) {
  const Tensor whole = states_of({-5, 9}, 0, 12, 20, 0.5, device_);
  const auto equal = [](const Tensor& a, const Tensor& b) {
    return at::allclose(a, b, 1e-6, 1e-7);
  };
  EXPECT_TRUE(equal(states_of({-5, 9}, 4, 3, 20, 0.5, device_), whole.narrow(1, 4, 3)));
  EXPECT_TRUE(
      equal(states_of({9}, 11, 1, 20, 0.5, device_), whole.narrow(0, 1, 1).narrow(1, 11, 1)));
  EXPECT_TRUE(equal(states_of({-5, 9}, 0, 12, 7, 0.5, device_), whole.narrow(2, 0, 7)));
  EXPECT_FALSE(equal(whole[0], whole[1]));
}

class DepthOf : public OnDeviceTest<NamedConfig> {
 protected:
  const ModelConfig& config() const { return value().config; }

  // With weights that no initial value makes 0, so that every loop tells.
  Model noisy_model() const {
    const at::NoGradGuard no_grad;
    Model model = sample_model(config(), 3, device_);
    for (const Parameters::Item& item : model.parameters.items()) {
      if (!is_trained(item.use)) continue;
      Tensor parameter = item.tensor;
      parameter.add_(at::randn(parameter.sizes(), at::kFloat).to(device_), 0.05);
    }
    return model;
  }

  // Loss and gradients by name; undefined gradients are left out.
  std::map<std::string, Tensor> gradients(const Model& model, const ForwardOptions& options,
                                          double* loss = nullptr) const {
    const Tensor ids = sample_ids(config(), 2, 9, device_), targets = ids.roll(-1, 1);
    const Weights weights = make_weights(config(), model.parameters, at::kFloat);
    const Tensor objective =
        loss_sum(weights, forward(config(), weights, ids, options).hidden, targets);
    if (loss) *loss = objective.item<double>();
    objective.backward();
    std::map<std::string, Tensor> out;
    for (const Parameters::Item& item : model.parameters.items()) {
      Tensor parameter = item.tensor;
      if (parameter.grad().defined()) out[item.name] = parameter.grad();
      parameter.mutable_grad() = Tensor();
    }
    return out;
  }
};

std::vector<NamedConfig> without_halting() {
  std::vector<NamedConfig> out = all_mechanisms();
  std::erase_if(out, [](const NamedConfig& named) {
    const ModelConfig& c = named.config;
    return c.halting != Halting::none || c.injection == Injection::none;
  });
  return out;
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, DepthOf, testing::ValuesIn(on_each_device(without_halting())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

void expect_equal(const std::map<std::string, Tensor>& got,
                  const std::map<std::string, Tensor>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, gradient] : want) {
    EXPECT_LE((got.at(name) - gradient).norm().item<double>(),
              tolerance * gradient.norm().item<double>() + 1e-12)
        << name;
  }
}

TEST_P(DepthOf, TruncationLeavesTheLossAndWhatStandsBehindTheLoops) {
  const Model model = noisy_model();
  ForwardOptions options;
  options.loops = 4;
  double whole_loss = 0, loss = 0;
  const auto whole = gradients(model, options, &whole_loss);
  options.grad_loops = 5;
  expect_equal(gradients(model, options), whole, 1e-6);
  options.grad_loops = 2;
  const auto last = gradients(model, options, &loss);
  EXPECT_EQ(loss, whole_loss);
  double core_change = 0;
  for (const auto& [name, gradient] : whole) {
    if (name.starts_with("coda.") || name == "norm.weight" || name == "head.weight") {
      EXPECT_LE((last.at(name) - gradient).norm().item<double>(),
                1e-6 * gradient.norm().item<double>())
          << name;
    } else if (last.contains(name)) {
      core_change += (last.at(name) - gradient).norm().item<double>();
    }
    // The table has a row of numbers for each of the three loops that the model was made for; loop
    // 4 uses the last. Rows of loops that record nothing have no gradient.
    if (name.ends_with("lora.scale.weight")) {
      EXPECT_EQ(last.at(name).narrow(0, 0, 2).abs().max().item<double>(), 0);
      EXPECT_GT(last.at(name)[2].abs().max().item<double>(), 0);
      EXPECT_LE((last.at(name)[2] - gradient[2]).norm().item<double>(),
                1e-5 * gradient[2].norm().item<double>());
    }
  }
  EXPECT_GT(core_change, 0);
}

TEST_P(DepthOf, TruncationRecomputesWhatItRecords) {
  const Model model = noisy_model();
  ForwardOptions options;
  options.loops = 4;
  options.grad_loops = 2;
  const auto want = gradients(model, options);
  for (const Recompute recompute : {Recompute::loop, Recompute::block}) {
    options.recompute = recompute;
    expect_equal(gradients(model, options), want, device_.is_cpu() ? 2e-6 : 1e-5);
  }
}

TEST_P(DepthOf, TheInjectedInputHasAGradientThroughTheLastLoops) {
  const Model model = noisy_model();
  ForwardOptions options;
  options.loops = 4;
  for (const int64_t last : {1, 2, 4}) {
    options.grad_loops = last;
    const auto found = gradients(model, options);
    for (const auto& [name, gradient] : found) {
      if (!name.starts_with("prelude.")) continue;
      EXPECT_GT(gradient.abs().max().item<double>(), 0) << name << " " << last;
    }
  }
}

// A model without injection whose loops begin with its input: the last loops are a model of their
// own, whose input is the state that the others have left.
class TruncatedTo : public testing::TestWithParam<Recompute> {};

TEST_P(TruncatedTo, TheLastLoopsEqualsALoopedModelOnTheDetachedState) {
  ModelConfig c = small_config();
  c.attention = Attention::gqa;
  c.injection = Injection::none;
  c.loop_embedding = LoopEmbedding::none;
  c.prelude_norm = false;
  c.prelude_layers = 0;
  c.core_layers = 2;
  c.lora_rank = 0;
  c.tied_head = false;
  c.init_std = 0.1;
  c.validate();
  const Model model = sample_model(c);
  const Tensor ids = sample_ids(c, 2, 9), targets = ids.roll(-1, 1);
  const auto take = [&](const Tensor& objective) {
    objective.backward();
    std::map<std::string, Tensor> out;
    for (const Parameters::Item& item : model.parameters.items()) {
      Tensor parameter = item.tensor;
      if (parameter.grad().defined()) out[item.name] = parameter.grad();
      parameter.mutable_grad() = Tensor();
    }
    return out;
  };
  const Weights weights = make_weights(c, model.parameters, at::kFloat);
  ForwardOptions truncated;
  truncated.loops = 5;
  truncated.grad_loops = 2;
  truncated.recompute = GetParam();
  const Tensor loss = loss_sum(weights, forward(c, weights, ids, truncated).hidden, targets);
  const auto got = take(loss);

  Tensor state;
  {
    const at::NoGradGuard no_grad;
    ForwardOptions first;
    first.loops = 3;
    first.observer = [&](int64_t, const Tensor&, const Tensor& after) { state = after; };
    forward(c, weights, ids, first);
  }
  const Weights again = make_weights(c, model.parameters, at::kFloat);
  ForwardOptions last;
  last.loops = 2;
  last.inputs = state;
  const Tensor plain = loss_sum(again, forward(c, again, ids, last).hidden, targets);
  EXPECT_NEAR(loss.item<double>(), plain.item<double>(), 1e-5 * plain.item<double>());
  const auto want = take(plain);
  // Nothing leads back to the embedding.
  for (const auto& [name, gradient] : got) {
    if (!want.contains(name)) {
      EXPECT_EQ(gradient.abs().max().item<double>(), 0) << name;
    }
  }
  for (const auto& [name, gradient] : want) {
    EXPECT_LE((got.at(name) - gradient).norm().item<double>(),
              1e-5 * gradient.norm().item<double>() + 1e-12)
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TruncatedTo,
                         testing::Values(Recompute::none, Recompute::loop, Recompute::block),
                         [](const auto& info) { return std::string(enum_name(info.param)); });

// A second pass with other seeds has other states, and other results; equal seeds have equal ones.
TEST(RandomState, FollowsTheSeedsOfTheSequences) {
  ModelConfig c = small_config();
  c.initial_state = InitialState::random;
  const at::NoGradGuard no_grad;
  const Model model = sample_model(c);
  const Weights weights = make_weights(c, model.parameters, at::kFloat);
  const Tensor ids = sample_ids(c, 1, 5).expand({3, 5}).contiguous();
  ForwardOptions options;
  const auto hidden = [&](const std::vector<int32_t>& seeds) {
    options.state_seeds = seeds.empty() ? Tensor() : at::tensor(seeds, at::kInt);
    return forward(c, weights, ids, options).hidden;
  };
  const Tensor drawn = hidden({4, 4, 5});
  EXPECT_TRUE(at::allclose(drawn[0], drawn[1], 1e-5, 1e-6));
  EXPECT_GT((drawn[0] - drawn[2]).abs().max().item<double>(), 1e-3);
  EXPECT_TRUE(at::equal(hidden({}), hidden({0, 0, 0})));
}

}  // namespace
}  // namespace mythos
