#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../device.h"
#include "../scratch.h"
#include "checkpoint/slices.h"
#include "train/loss_scaler.h"

namespace mythos {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 32;
  config.dim = 16;
  config.n_heads = 2;
  config.kv_lora_rank = config.q_lora_rank = 8;
  config.qk_rope_head_dim = 4;
  config.qk_nope_head_dim = config.v_head_dim = 4;
  config.n_experts = 4;
  config.expert_dim = 8;
  config.max_loop_iters = 3;
  config.lora_rank = 2;
  return config;
}

TrainConfig train_config() {
  TrainConfig config;
  config.lr = 0.01;
  return config;
}

// The same random gradients for the same seed.
void set_gradients(const Parameters& parameters, uint64_t seed, double scale) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    Tensor parameter = item.tensor;
    parameter.mutable_grad() =
        (at::randn(parameter.sizes(), generator) * scale).to(parameter.device());
  }
}

// AdamW as the paper writes it, one tensor at a time.
struct PlainAdamW {
  double lr, beta1, beta2, eps, decay;
  Tensor m, v;
  int64_t t = 0;
  Tensor step(const Tensor& parameter, const Tensor& gradient) {
    if (t++ == 0) m = v = at::zeros_like(parameter);
    m = beta1 * m + (1 - beta1) * gradient;
    v = beta2 * v + (1 - beta2) * gradient * gradient;
    const Tensor m_hat = m / (1 - std::pow(beta1, t));
    const Tensor v_hat = v / (1 - std::pow(beta2, t));
    return parameter - lr * (m_hat / (v_hat.sqrt() + eps) + decay * parameter);
  }
};

double global_norm(const Parameters& parameters) {
  double sum = 0;
  for (const Parameters::Item& item : parameters.items()) {
    if (is_trained(item.use))
      sum += item.tensor.grad().to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(sum);
}

using AdamWTest = DeviceTest;

TEST_P(AdamWTest, EqualsThePlainFormWithClippingAndDecayOfMatricesAlone) {
  const ModelConfig model = small_config();
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  TrainConfig config = train_config();
  config.weight_decay = 0.3;
  config.clip_norm = 0.7;
  GroupedOptimizer optimizer(parameters, config);
  std::map<std::string, PlainAdamW> plain;
  std::map<std::string, Tensor> expected;
  for (const Parameters::Item& item : parameters.items()) {
    plain[item.name] = {
        0.01, config.beta1, config.beta2, config.adam_eps, is_cast(item.use) ? 0.3 : 0.0, {}, {}};
    expected[item.name] = item.tensor.detach().to(at::kDouble);
  }
  for (uint64_t step = 0; step < 5; ++step) {
    set_gradients(parameters, step, 1.0);
    const double norm = global_norm(parameters);
    ASSERT_GT(norm, config.clip_norm);
    for (const Parameters::Item& item : parameters.items()) {
      if (!is_trained(item.use)) continue;
      const Tensor clipped = item.tensor.grad().to(at::kDouble) * (config.clip_norm / norm);
      Tensor& value = expected[item.name];
      value = plain[item.name].step(value, clipped);
    }
    EXPECT_NEAR(optimizer.step(1).norm.item<double>(), norm, 1e-4 * norm);
    optimizer.zero_grad();
  }
  for (const Parameters::Item& item : parameters.items()) {
    const Tensor difference = item.tensor.detach().to(at::kDouble) - expected[item.name];
    EXPECT_LT(difference.abs().max().item<double>(), 2e-6) << item.name;
  }
}

TEST_P(AdamWTest, LeavesSmallGradientsAndAZeroClipNormAlone) {
  const ModelConfig model = small_config();
  for (const double clip : {0.0, 1e6}) {
    Parameters parameters(model, device_);
    parameters.initialize(model, 5);
    TrainConfig config = train_config();
    config.clip_norm = clip;
    GroupedOptimizer optimizer(parameters, config);
    set_gradients(parameters, 1, 1.0);
    const Tensor gradient = parameters.at("embed.weight").grad().clone();
    optimizer.step(1);
    const NamedTensors state = optimizer.state();
    const auto found = std::find_if(state.begin(), state.end(), [](const auto& item) {
      return item.first == "exp_avg.embed.weight";
    });
    ASSERT_NE(found, state.end());
    EXPECT_TRUE(at::allclose(found->second, gradient * (1 - config.beta1), 1e-5, 1e-8));
  }
}

TEST_P(AdamWTest, CountsAMissingGradientAsZero) {
  const ModelConfig model = small_config();
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  GroupedOptimizer optimizer(parameters, train_config());
  const Tensor before = parameters.at("norm.weight").detach().clone();
  EXPECT_EQ(optimizer.step(1).norm.item<double>(), 0);
  EXPECT_TRUE(at::equal(parameters.at("norm.weight"), before));
}

TEST_P(AdamWTest, StateRestoresExactly) {
  const ModelConfig model = small_config();
  Parameters one(model, device_), other(model, device_);
  one.initialize(model, 5);
  GroupedOptimizer first(one, train_config());
  for (uint64_t step = 0; step < 3; ++step) {
    set_gradients(one, step, 1.0);
    first.step(1);
  }
  TensorMap state, values;
  for (const auto& [name, tensor] : first.state()) state[name] = tensor.clone();
  for (const auto& item : one.items()) values[item.name] = item.tensor.detach().clone();
  other.load(values, "test");
  GroupedOptimizer second(other, train_config());
  second.load(joined(state, {}, "test"), "test");
  set_gradients(one, 9, 1.0);
  set_gradients(other, 9, 1.0);
  first.step(1);
  second.step(1);
  for (const auto& item : one.items()) {
    EXPECT_TRUE(at::equal(item.tensor, other.at(item.name))) << item.name;
  }
}

TEST_P(AdamWTest, StateThatDoesNotFitIsRefused) {
  const ModelConfig model = small_config();
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  GroupedOptimizer optimizer(parameters, train_config());
  TensorMap state;
  for (const auto& [name, tensor] : optimizer.state()) state[name] = tensor;
  TensorMap missing = state, surplus = state, reshaped = state;
  missing.erase("exp_avg_sq.norm.weight");
  surplus["exp_avg.unknown"] = at::zeros({1});
  reshaped["exp_avg.norm.weight"] = at::zeros({3});
  const auto message = [&](const TensorMap& bad) {
    return error_of(ErrorKind::data,
                    [&] { optimizer.load(joined(bad, {}, "test"), "RUN/step-000007"); });
  };
  EXPECT_TRUE(contains(message(missing), "exp_avg_sq.norm.weight"));
  EXPECT_TRUE(contains(message(missing), "RUN/step-000007"));
  EXPECT_TRUE(contains(message(reshaped), "[3], expected [16]"));
  EXPECT_TRUE(contains(message(surplus), "expected"));
}

// By a power of two, so that nothing is rounded differently; the clipped norm is the unscaled one.
TEST_P(AdamWTest, GradientsOfAScaledLossGiveTheSameUpdate) {
  const ModelConfig model = small_config();
  Parameters plain(model, device_), scaled(model, device_);
  plain.initialize(model, 5);
  scaled.initialize(model, 5);
  TrainConfig config = train_config();
  config.clip_norm = 0.7;
  GroupedOptimizer first(plain, config), second(scaled, config);
  const Tensor scale = at::full({}, 1024.0F).to(device_);
  for (uint64_t step = 0; step < 3; ++step) {
    set_gradients(plain, step, 1.0);
    set_gradients(scaled, step, 1024.0);
    const Tensor norm = first.step(1).norm;
    ASSERT_GT(norm.item<double>(), config.clip_norm);
    const GroupedOptimizer::Update update = second.step(1, scale);
    EXPECT_EQ(update.norm.item<float>(), norm.item<float>());
    EXPECT_EQ(update.found_inf.item<float>(), 0);
  }
  for (const auto& item : plain.items()) {
    EXPECT_TRUE(at::equal(item.tensor, scaled.at(item.name))) << item.name;
  }
}

TEST_P(AdamWTest, GradientsThatAreNotFiniteChangeNothing) {
  const ModelConfig model = small_config();
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    Parameters parameters(model, device_), undisturbed(model, device_);
    parameters.initialize(model, 5);
    undisturbed.initialize(model, 5);
    GroupedOptimizer optimizer(parameters, train_config()), other(undisturbed, train_config());
    const Tensor scale = at::full({}, 4.0F).to(device_);
    set_gradients(parameters, 1, 1.0);
    parameters.at("norm.weight").grad()[3] = bad;
    EXPECT_EQ(optimizer.step(1, scale).found_inf.item<float>(), 1);
    for (const auto& [name, tensor] : optimizer.state()) {
      EXPECT_EQ(tensor.abs().max().item<float>(), 0) << name;
    }
    // The next is the first.
    set_gradients(parameters, 2, 1.0);
    set_gradients(undisturbed, 2, 1.0);
    optimizer.step(1, scale);
    other.step(1, scale);
    for (const auto& item : parameters.items()) {
      EXPECT_TRUE(at::equal(item.tensor, undisturbed.at(item.name))) << item.name;
    }
  }
}

using LossScalerTest = DeviceTest;

Tensor found_inf(bool found, at::Device device) {
  return at::full({}, found ? 1.0F : 0.0F).to(device);
}

TEST_P(LossScalerTest, FallsAtOnceAndGrowsAfterFiniteStepsInARow) {
  TrainConfig config = train_config();
  EXPECT_EQ(LossScaler(config, device_).read_scale(), 65536);
  config.loss_scale = 64;
  config.loss_scale_interval = 3;
  config.loss_scale_growth = 4;
  config.loss_scale_backoff = 0.25;
  LossScaler scaler(config, device_);
  const std::vector<std::pair<bool, double>> steps = {
      {false, 64}, {false, 64}, {true, 16}, {false, 16}, {false, 16},
      {false, 64}, {false, 64}, {true, 16}, {true, 4},   {true, 1}};
  for (size_t i = 0; i < steps.size(); ++i) {
    scaler.update(found_inf(steps[i].first, device_));
    EXPECT_EQ(scaler.read_scale(), steps[i].second) << i;
  }
  EXPECT_EQ(scaler.read_stuck_steps(), 0);
}

TEST_P(LossScalerTest, CountsOverflowsInARowAtTheLeastScale) {
  TrainConfig config = train_config();
  config.loss_scale = 2;
  LossScaler scaler(config, device_);
  for (const int64_t stuck : {0, 1, 2, 3}) {
    scaler.update(found_inf(true, device_));
    EXPECT_EQ(scaler.read_scale(), 1);
    EXPECT_EQ(scaler.read_stuck_steps(), stuck);
  }
  scaler.update(found_inf(false, device_));
  EXPECT_EQ(scaler.read_stuck_steps(), 0);
}

TEST_P(LossScalerTest, GoesOnFromItsState) {
  TrainConfig config = train_config();
  config.loss_scale = 3e4 / 7;
  config.loss_scale_interval = 3;
  LossScaler scaler(config, device_);
  for (const bool found : {false, true, false, false}) scaler.update(found_inf(found, device_));
  config.loss_scale = 1;
  LossScaler back(config, device_);
  back.restore(nlohmann::json::parse(scaler.state().dump()));
  EXPECT_EQ(back.read_scale(), scaler.read_scale());
  scaler.update(found_inf(false, device_));
  back.update(found_inf(false, device_));
  EXPECT_EQ(back.read_scale(), static_cast<float>(3e4 / 7));
  EXPECT_EQ(back.state(), scaler.state());
}

INSTANTIATE_TEST_SUITE_P(Devices, AdamWTest, testing::ValuesIn(test_devices()), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, LossScalerTest, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
