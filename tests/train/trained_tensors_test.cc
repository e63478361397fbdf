#include "train/trained_tensors.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "../device.h"
#include "../scratch.h"
#include "train/balance.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace mythos {
namespace {

Config tuned_config() {
  Config config;
  config.model.vocab_size = 40;
  config.model.dim = 16;
  config.model.n_heads = 2;
  config.model.kv_lora_rank = config.model.q_lora_rank = 8;
  config.model.qk_rope_head_dim = config.model.qk_nope_head_dim = config.model.v_head_dim = 4;
  config.model.n_experts = 4;
  config.model.expert_dim = 8;
  config.model.max_loop_iters = 3;
  config.model.lora_rank = 2;
  config.train.tune_rank = 3;
  config.train.tune_alpha = 6;
  return config;
}

Batch some_batch() {
  Batch batch;
  batch.batch_size = 2;
  batch.seq_len = 6;
  for (int64_t i = 0; i < 12; ++i) {
    batch.inputs.push_back((i * i + 3) % 40);
    batch.targets.push_back((i * 7 + 1) % 40);
  }
  return batch;
}

std::vector<std::string> names_of_trained(const Parameters& parameters) {
  std::vector<std::string> names;
  for (const TrainedTensor& item : trained_tensors(parameters)) names.push_back(item.name);
  return names;
}

class TrainedTensors : public DeviceTest {
 protected:
  Parameters made(const Config& config) const {
    Parameters parameters(config.model, device_);
    parameters.initialize(config.model, 2);
    choose_trained(parameters, config.train);
    return parameters;
  }
  double loss(const Config& config, const Parameters& parameters, Recompute recompute = {}) const {
    Config changed = config;
    changed.train.recompute = recompute;
    return forward_backward(changed, parameters, {some_batch()}, 12, 3, at::kFloat)
        .nats.item<double>();
  }
};

TEST_P(TrainedTensors, AllThatHaveGradientsAtFirst) {
  Config config = tuned_config();
  config.train.tune_rank = 0;
  const Parameters parameters = made(config);
  size_t trained = 0;
  for (const Parameters::Item& item : parameters.items()) trained += is_trained(item.use);
  EXPECT_EQ(trained_tensors(parameters).size(), trained);
}

TEST_P(TrainedTensors, FrozenOnesHaveNoGradientAndTheOthersWhatTheyHad) {
  Config config = tuned_config();
  config.train.tune_rank = 0;
  const Parameters whole = made(config);
  loss(config, whole);
  config.train.freeze = "embed.* prelude.*  core.?.attn.*";
  for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
    const Parameters parameters = made(config);
    loss(config, parameters, recompute);
    int64_t frozen = 0;
    for (const Parameters::Item& item : parameters.items()) {
      if (!is_trained(item.use)) continue;
      const bool named = item.name.starts_with("embed.") || item.name.starts_with("prelude.") ||
                         item.name.starts_with("core.0.attn.");
      EXPECT_EQ(item.tensor.requires_grad(), !named) << item.name;
      EXPECT_EQ(item.tensor.grad().defined(), !named) << item.name;
      frozen += named;
      if (named) continue;
      EXPECT_TRUE(at::allclose(item.tensor.grad(), whole.at(item.name).grad(), 1e-4, 1e-7))
          << item.name;
    }
    EXPECT_GT(frozen, 10);
  }
}

TEST_P(TrainedTensors, PatternsThatNameNothingAreRefused) {
  Config config = tuned_config();
  config.train.tune_rank = 0;
  const auto error = [&] { return error_of(ErrorKind::usage, [&] { made(config); }); };
  config.train.freeze = "embed.* prelud.*";
  EXPECT_TRUE(contains(error(),
                       "train.freeze: \"prelud.*\" names no trained tensor. "
                       "Did you mean 'prelude.*'?"))
      << error();
  config.train.freeze = "*";
  EXPECT_TRUE(contains(error(), "leaves nothing to train")) << error();
  config.train.freeze = "";
  config.train.tune_rank = 2;
  config.train.tune_matrices = "*.experts.*";
  EXPECT_TRUE(contains(error(), "train.tune_matrices: \"*.experts.*\" names no matrix")) << error();
}

TEST_P(TrainedTensors, LowRankUpdatesChangeNothingAtFirst) {
  Config config = tuned_config();
  Config plain = config;
  plain.train.tune_rank = 0;
  config.train.tune_matrices = "core.*.attn.* *.shared.*";
  const Parameters tuned = made(config), whole = made(plain);
  EXPECT_EQ(loss(config, tuned), loss(plain, whole));
  const auto names = names_of_trained(tuned);
  EXPECT_TRUE(std::ranges::find(names, "core.0.attn.wo.weight.lora_a") != names.end());
  EXPECT_TRUE(std::ranges::find(names, "core.0.ffn.shared.gate_up.weight.lora_b") != names.end());
  EXPECT_EQ(names.size(), 2U * (4 + 2));  // down, q_up, kv_up, wo; gate_up, down
  const LowRankUpdate& update = tuned.updates().at("core.0.attn.wo.weight");
  EXPECT_EQ(update.a.sizes(), at::IntArrayRef({3, 8}));
  EXPECT_EQ(update.b.sizes(), at::IntArrayRef({16, 3}));
  EXPECT_EQ(update.scale, 2);
  EXPECT_EQ(update.b.abs().max().item<float>(), 0);
  EXPECT_GT(update.a.abs().max().item<float>(), 0.05);
  const Parameters again = made(config);
  EXPECT_TRUE(at::equal(update.a, again.updates().at("core.0.attn.wo.weight").a));
}

void expect_chain_rule(const Parameters& tuned, const Parameters& whole) {
  for (const auto& [name, update] : tuned.updates()) {
    const Tensor g = whole.at(name).grad();
    const Tensor d_a = update.scale * update.b.detach().t().mm(g);
    const Tensor d_b = update.scale * g.mm(update.a.detach().t());
    EXPECT_TRUE(at::allclose(update.a.grad(), d_a, 1e-3, 1e-6)) << name;
    EXPECT_TRUE(at::allclose(update.b.grad(), d_b, 1e-3, 1e-6)) << name;
    EXPECT_GT(d_a.abs().max().item<float>(), 1e-6) << name;
    EXPECT_FALSE(tuned.at(name).grad().defined()) << name;
  }
}

// The gradients of W + s·b·a by the chain rule: of a, s·bᵀ·G, and of b, s·G·aᵀ, where G is the
// gradient of a plain matrix of the same values.
TEST_P(TrainedTensors, LowRankUpdatesHaveTheGradientsOfTheChainRule) {
  Config config = tuned_config();
  const Parameters tuned = made(config);
  for (const auto& [name, update] : tuned.updates()) {
    const at::NoGradGuard no_grad;
    update.b.copy_(at::linspace(-0.1, 0.1, update.b.numel()).view(update.b.sizes()));
  }
  Config plain = config;
  plain.train.tune_rank = 0;
  const Parameters whole = made(plain);
  {
    const at::NoGradGuard no_grad;
    for (const Parameters::Item& item : whole.items()) item.tensor.copy_(tuned.merged(item.name));
  }
  const double expected = loss(plain, whole);
  EXPECT_EQ(tuned.updates().size(), 3U * 4 + 2 * 2 + 2);
  for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
    EXPECT_NEAR(loss(config, tuned, recompute), expected, 1e-5);
    expect_chain_rule(tuned, whole);
    GroupedOptimizer(tuned, config.train).zero_grad();
  }
}

TEST_P(TrainedTensors, AStepMovesTheFactorsAloneAndTheLossFalls) {
  Config config = tuned_config();
  config.train.lr = 0.01;
  const Parameters parameters = made(config);
  std::map<std::string, Tensor> before;
  for (const auto& item : parameters.items()) before[item.name] = item.tensor.detach().clone();
  GroupedOptimizer optimizer(parameters, config.train);
  const double first = loss(config, parameters);
  for (int i = 0; i < 20; ++i) {
    optimizer.step(1);
    optimizer.zero_grad();
    loss(config, parameters);
  }
  optimizer.zero_grad();
  EXPECT_LT(loss(config, parameters), first - 1);
  for (const auto& item : parameters.items()) {
    EXPECT_TRUE(at::equal(item.tensor, before.at(item.name))) << item.name;
    const bool updated = parameters.updates().count(item.name) > 0;
    EXPECT_EQ(at::equal(parameters.merged(item.name), before.at(item.name)), !updated) << item.name;
  }
}

TEST_P(TrainedTensors, UpdatesGoOnFromTheirState) {
  const Config config = tuned_config();
  const Parameters parameters = made(config);
  for (const auto& [name, update] : parameters.updates()) {
    const at::NoGradGuard no_grad;
    update.b.fill_(0.01);
  }
  TensorMap state;
  for (const auto& [name, tensor] : update_state(parameters)) state[name] = tensor.clone();
  state["step"] = at::zeros({});
  Config other = config;
  other.train.seed = 9;
  Parameters fresh = made(other);
  auto missing = state;
  missing.erase("core.0.attn.wo.weight.lora_b");
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { restore_updates(fresh, missing, "run/step"); }),
               "run/step: the optimizer state lacks the tensor 'core.0.attn.wo.weight.lora_b'"));
  restore_updates(fresh, state, "run/step");
  EXPECT_EQ(state.size(), 1U);  // what is the optimizer's
  for (const auto& item : parameters.items()) {
    EXPECT_TRUE(at::equal(fresh.merged(item.name), parameters.merged(item.name))) << item.name;
  }
}

TEST_P(TrainedTensors, TheBiasOfAFrozenRouterStays) {
  Config config = tuned_config();
  config.train.tune_rank = 0;
  const Tensor load = at::arange(4, at::kDouble).to(device_);
  for (const bool frozen : {false, true}) {
    config.train.freeze = frozen ? "*.router.weight" : "";
    const Parameters parameters = made(config);
    balance_router_bias(config.model, parameters, {load}, 0.1);
    const float moved = parameters.at("core.0.ffn.router_bias").abs().max().item<float>();
    EXPECT_EQ(moved > 0, !frozen);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, TrainedTensors, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
