#include "train/step.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "train/balance.h"

namespace mythos {
namespace {

Config small_config() {
  Config config;
  config.model.vocab_size = 40;
  config.model.dim = 16;
  config.model.n_heads = 2;
  config.model.kv_lora_rank = config.model.q_lora_rank = 8;
  config.model.qk_rope_head_dim = 4;
  config.model.qk_nope_head_dim = config.model.v_head_dim = 4;
  config.model.n_experts = 4;
  config.model.expert_dim = 8;
  config.model.max_loop_iters = 3;
  config.model.lora_rank = 2;
  return config;
}

Batch batch_of(int64_t rows, int64_t length, int64_t seed) {
  Batch batch;
  batch.batch_size = rows;
  batch.seq_len = length;
  for (int64_t i = 0; i < rows * length; ++i) {
    batch.inputs.push_back((i * i + seed) % 40);
    batch.targets.push_back((i * 7 + seed) % 40);
  }
  return batch;
}

std::map<std::string, Tensor> take_gradients(const Parameters& parameters) {
  std::map<std::string, Tensor> out;
  for (const Parameters::Item& item : parameters.items()) {
    Tensor parameter = item.tensor;
    if (parameter.grad().defined()) out[item.name] = parameter.grad().clone();
    parameter.mutable_grad() = Tensor();
  }
  return out;
}

using ForwardBackward = DeviceTest;

TEST(CountTargets, LeavesOutWhatIsMarked) {
  Batch batch = batch_of(1, 4, 0);
  batch.targets = {2, -1, 0, 2};
  const TargetCount count = count_targets({batch, batch}, {0, 5, 3});
  EXPECT_EQ(count.targets, 6);
  EXPECT_EQ(count.bytes, 12);
}

TEST_P(ForwardBackward, MicroBatchesAddUpToOneBatch) {
  const Config config = small_config();
  Parameters parameters(config.model, device_);
  parameters.initialize(config.model, 2);
  Batch first = batch_of(2, 6, 1), second = batch_of(2, 6, 5);
  second.targets[3] = second.targets[4] = second.targets[5] = -1;
  Batch whole = first;
  whole.batch_size = 4;
  whole.inputs.insert(whole.inputs.end(), second.inputs.begin(), second.inputs.end());
  whole.targets.insert(whole.targets.end(), second.targets.begin(), second.targets.end());

  const StepResult one = forward_backward(config, parameters, {whole}, 21, 3, at::kFloat);
  const auto expected = take_gradients(parameters);
  const StepResult two = forward_backward(config, parameters, {first, second}, 21, 3, at::kFloat);
  const auto found = take_gradients(parameters);
  EXPECT_NEAR(one.nats.item<double>(), two.nats.item<double>(), 1e-4);
  EXPECT_GT(one.nats.item<double>() / 21, 1.0);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, gradient] : expected) {
    EXPECT_LT((found.at(name) - gradient).abs().max().item<double>(), 1e-6) << name;
  }
  ASSERT_EQ(two.expert_load.size(), 1U);
  EXPECT_EQ(two.expert_load[0].sum().item<double>(), 21 * 3 * 2);
  EXPECT_TRUE(at::equal(one.expert_load[0], two.expert_load[0]));
}

// Two documents in one sequence, against each in a sequence of its own.
TEST_P(ForwardBackward, PackedDocumentsAddUpToTheirGradients) {
  const Config config = small_config();
  Parameters parameters(config.model, device_);
  parameters.initialize(config.model, 2);
  Batch packed = batch_of(1, 10, 1);
  packed.document_begins = {0, 0, 0, 0, 4, 4, 4, 4, 4, 9};
  packed.targets[9] = -1;  // padding
  const auto part = [&](size_t begin, size_t end) {
    Batch batch;
    batch.batch_size = 1;
    batch.seq_len = static_cast<int64_t>(end - begin);
    batch.inputs = {packed.inputs.begin() + begin, packed.inputs.begin() + end};
    batch.targets = {packed.targets.begin() + begin, packed.targets.begin() + end};
    return batch;
  };
  const StepResult apart =
      forward_backward(config, parameters, {part(0, 4), part(4, 9)}, 9, 3, at::kFloat);
  const auto expected = take_gradients(parameters);
  const StepResult together = forward_backward(config, parameters, {packed}, 9, 3, at::kFloat);
  EXPECT_TRUE(at::equal(together.expert_load[0], apart.expert_load[0]));
  EXPECT_NEAR(together.nats.item<double>(), apart.nats.item<double>(), 1e-4);
  for (const auto& [name, gradient] : take_gradients(parameters)) {
    EXPECT_LT((gradient - expected.at(name)).abs().max().item<double>(), 1e-6) << name;
  }
}

// The documents of `lengths` in rows of `places`, each row a list of documents. As in best-fit
// packing a document's last token stands in its row only where there is room left, and has no
// target.
Batch rows_of_documents(const std::vector<std::vector<int64_t>>& rows, int64_t places) {
  Batch batch;
  batch.batch_size = static_cast<int64_t>(rows.size());
  batch.seq_len = places;
  for (const std::vector<int64_t>& row : rows) {
    const size_t end = batch.inputs.size() + static_cast<size_t>(places);
    for (const int64_t length : row) {
      const auto begin = static_cast<int32_t>(static_cast<int64_t>(batch.inputs.size()) % places);
      for (int64_t i = 0; i < length && batch.inputs.size() < end; ++i) {
        batch.inputs.push_back((length * length + i * 3) % 40);
        batch.targets.push_back(i + 1 < length ? (length * length + (i + 1) * 3) % 40 : -1);
        batch.document_begins.push_back(begin);
      }
    }
    while (batch.inputs.size() < end) {
      batch.document_begins.push_back(
          static_cast<int32_t>(static_cast<int64_t>(batch.inputs.size()) % places));
      batch.inputs.push_back(0);
      batch.targets.push_back(-1);
    }
  }
  return batch;
}

// Five documents in different rows and micro-batches, with much padding and with hardly any.
TEST_P(ForwardBackward, PaddingAndPackingChangeNothing) {
  const std::vector<std::vector<Batch>> packings = {
      {rows_of_documents({{4, 5}, {9}, {7, 2}}, 8)},
      {rows_of_documents({{4, 5}, {9}, {7, 2}}, 24)},
      {rows_of_documents({{4}}, 3), rows_of_documents({{9}, {5, 2}, {}, {7}}, 15)},
      {rows_of_documents({{9, 4}}, 16), rows_of_documents({{2, 5, 7}}, 13)}};
  constexpr int64_t kTargets = 3 + 4 + 8 + 6 + 1;
  for (const Halting halting : {Halting::none, Halting::act, Halting::act_reference}) {
    for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
      Config config = small_config();
      config.model.halting = halting;
      config.objectives.ponder_cost = halting == Halting::none ? 0 : 0.5;
      config.train.recompute = recompute;
      double nats = 0;
      Tensor load, bias;
      std::map<std::string, Tensor> gradients;
      for (size_t i = 0; i < packings.size(); ++i) {
        Parameters parameters(config.model, device_);
        parameters.initialize(config.model, 2);
        EXPECT_EQ(count_targets(packings[i], std::vector<int32_t>(40, 1)).targets, kTargets);
        const StepResult step =
            forward_backward(config, parameters, packings[i], kTargets, 3, at::kFloat);
        balance_router_bias(config.model, parameters, step.expert_load, 0.5);
        const Tensor moved = parameters.at("core.0.ffn.router_bias");
        const auto found = take_gradients(parameters);
        if (i == 0) {
          nats = step.nats.item<double>(), load = step.expert_load[0], bias = moved;
          gradients = found;
          EXPECT_GT(bias.abs().max().item<double>(), 0);
          if (halting == Halting::none) {
            EXPECT_EQ(load.sum().item<double>(), kTargets * 3 * 2);
          }
          continue;
        }
        EXPECT_NEAR(step.nats.item<double>(), nats, 1e-4) << i;
        EXPECT_TRUE(at::equal(step.expert_load[0], load)) << i << load << step.expert_load[0];
        EXPECT_TRUE(at::equal(moved, bias)) << i << bias << moved;
        ASSERT_EQ(found.size(), gradients.size());
        for (const auto& [name, gradient] : gradients) {
          EXPECT_LT((found.at(name) - gradient).abs().max().item<double>(), 2e-6) << i << name;
        }
      }
    }
  }
}

TEST_P(ForwardBackward, GradientsReachFp32MastersThroughNarrowTypes) {
  const Config config = small_config();
  Parameters parameters(config.model, device_);
  parameters.initialize(config.model, 2);
  const Batch batch = batch_of(2, 6, 1);
  const double nats =
      forward_backward(config, parameters, {batch}, 12, 2, at::kFloat).nats.item<double>();
  const auto expected = take_gradients(parameters);
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const double scale = type == at::kHalf ? 1024 : 1;
    const Tensor loss_scale = type == at::kHalf ? at::full({}, 1024.0F).to(device_) : Tensor();
    const StepResult step = forward_backward(config, parameters, {batch}, 12, 2, type, loss_scale);
    EXPECT_NEAR(step.nats.item<double>(), nats, 0.01 * nats) << type;
    for (const auto& [name, gradient] : take_gradients(parameters)) {
      EXPECT_EQ(gradient.dtype(), at::kFloat) << name;
      const double size = expected.at(name).norm().item<double>();
      EXPECT_LT((gradient / scale - expected.at(name)).norm().item<double>(), 0.1 * size + 1e-6)
          << type << name;
    }
  }
}

// By a power of two, so that nothing is rounded differently.
TEST_P(ForwardBackward, TheLossScaleMultipliesGradientsAlone) {
  Config config = small_config();
  config.model.halting = Halting::act;
  config.objectives.ponder_cost = 0.5;
  Parameters parameters(config.model, device_);
  parameters.initialize(config.model, 2);
  const Batch batch = batch_of(2, 6, 1);
  const StepResult plain = forward_backward(config, parameters, {batch}, 12, 3, at::kFloat);
  const auto expected = take_gradients(parameters);
  const Tensor scale = at::full({}, 256.0F).to(device_);
  const StepResult scaled = forward_backward(config, parameters, {batch}, 12, 3, at::kFloat, scale);
  EXPECT_EQ(scaled.nats.item<double>(), plain.nats.item<double>());
  for (const auto& [name, gradient] : take_gradients(parameters)) {
    const double size = expected.at(name).abs().max().item<double>();
    EXPECT_LE((gradient / 256 - expected.at(name)).abs().max().item<double>(), 1e-5 * size) << name;
  }
}

TEST_P(ForwardBackward, PonderCostShortensTheWait) {
  Config config = small_config();
  config.model.halting = Halting::act;
  Parameters parameters(config.model, device_);
  parameters.initialize(config.model, 2);
  const Batch batch = batch_of(2, 6, 1);
  forward_backward(config, parameters, {batch}, 12, 3, at::kFloat);
  const double without = parameters.at("recurrent.halt.bias").grad().item<double>();
  take_gradients(parameters);
  config.objectives.ponder_cost = 1;
  forward_backward(config, parameters, {batch}, 12, 3, at::kFloat);
  // A larger bias halts earlier, so the cost pushes it up: its gradient falls.
  EXPECT_LT(parameters.at("recurrent.halt.bias").grad().item<double>(), without);
}

INSTANTIATE_TEST_SUITE_P(Devices, ForwardBackward, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
