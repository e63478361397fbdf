#include "train/depth_groups.h"

#include <ATen/ATen.h>

#include <set>

#include "../device.h"
#include "../model/sample_model.h"
#include "train/step.h"

namespace mythos {
namespace {

// Sequences whose tokens tell which they are: token s of sequence n is (10·n + s) % 61.
Batch sequences(int64_t first, int64_t count, int64_t length = 6) {
  Batch batch;
  batch.batch_size = count;
  batch.seq_len = length;
  for (int64_t n = first; n < first + count; ++n) {
    for (int64_t s = 0; s < length; ++s) {
      batch.inputs.push_back((10 * n + s) % 61);
      batch.targets.push_back((10 * n + s + 1) % 61);
      batch.document_begins.push_back(static_cast<int32_t>(s < 3 ? 0 : 3));
    }
  }
  return batch;
}

// The first token of each sequence.
std::vector<int64_t> firsts(const DepthGroup& group) {
  std::vector<int64_t> out;
  for (int64_t row = 0; row < group.batch.batch_size; ++row) {
    out.push_back(group.batch.inputs[static_cast<size_t>(row * group.batch.seq_len)]);
  }
  return out;
}

TEST(DepthGroups, AreTheMicroBatchesAtOneDepth) {
  const std::vector<Batch> batches = {sequences(0, 2), sequences(2, 1, 4)};
  const auto groups = depth_groups(batches, std::vector<int64_t>{3, 3, 3});
  ASSERT_EQ(groups.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(groups[i].loops, 3);
    EXPECT_EQ(groups[i].batch.inputs, batches[i].inputs);
    EXPECT_EQ(groups[i].batch.targets, batches[i].targets);
    EXPECT_EQ(groups[i].batch.document_begins, batches[i].document_begins);
    EXPECT_EQ(groups[i].batch.batch_size, batches[i].batch_size);
    EXPECT_EQ(groups[i].batch.seq_len, batches[i].seq_len);
    EXPECT_TRUE(groups[i].state_seeds.empty());
  }
}

TEST(DepthGroups, GatherSequencesOfOneDepthUpToAMicroBatch) {
  const std::vector<Batch> batches = {sequences(0, 2), sequences(2, 2), sequences(4, 2)};
  const std::vector<int64_t> loops = {4, 1, 4, 4, 2, 1};
  const std::vector<int32_t> seeds = {70, 71, 72, 73, 74, 75};
  const auto groups = depth_groups(batches, loops, seeds);
  ASSERT_EQ(groups.size(), 4U);
  EXPECT_EQ(groups[0].loops, 1);
  EXPECT_EQ(firsts(groups[0]), (std::vector<int64_t>{10, 50}));
  EXPECT_EQ(groups[0].state_seeds, (std::vector<int32_t>{71, 75}));
  EXPECT_EQ(groups[1].loops, 2);
  EXPECT_EQ(firsts(groups[1]), (std::vector<int64_t>{40}));
  EXPECT_EQ(groups[2].loops, 4);
  EXPECT_EQ(firsts(groups[2]), (std::vector<int64_t>{0, 20}));
  EXPECT_EQ(groups[3].loops, 4);
  EXPECT_EQ(firsts(groups[3]), (std::vector<int64_t>{30}));
  EXPECT_EQ(groups[3].state_seeds, (std::vector<int32_t>{73}));
  EXPECT_EQ(groups[3].batch.document_begins, sequences(3, 1).document_begins);
  EXPECT_EQ(groups[3].batch.targets, sequences(3, 1).targets);
}

TEST(DepthGroups, SequencesOfOtherLengthsStayApart) {
  const std::vector<Batch> batches = {sequences(0, 3, 4), sequences(3, 2, 6)};
  const auto groups = depth_groups(batches, std::vector<int64_t>{2, 1, 2, 2, 1});
  ASSERT_EQ(groups.size(), 4U);
  int64_t places = 0;
  for (const DepthGroup& group : groups) {
    EXPECT_EQ(static_cast<int64_t>(group.batch.inputs.size()),
              group.batch.batch_size * group.batch.seq_len);
    places += group.batch.batch_size * group.batch.seq_len;
  }
  EXPECT_EQ(places, 3 * 4 + 2 * 6);
}

TEST(DepthGroups, MeanLoopsCountsSequences) {
  EXPECT_EQ(mean_loops(std::vector<int64_t>{1, 2, 6}), 3);
  EXPECT_EQ(mean_loops(std::vector<int64_t>{4, 1}), 2.5);
}

TEST(StateSeeds, DependOnSeedStepAndSequence) {
  const auto seeds = state_seeds_of_step(1, 5, 100);
  EXPECT_EQ(state_seeds_of_step(1, 5, 100), seeds);
  const auto few = state_seeds_of_step(1, 5, 3);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), seeds.begin()));
  std::set<int32_t> all(seeds.begin(), seeds.end());
  for (const auto& other : {state_seeds_of_step(1, 6, 100), state_seeds_of_step(2, 5, 100)}) {
    all.insert(other.begin(), other.end());
  }
  EXPECT_EQ(all.size(), 300U);
}

using DepthGroupsOn = DeviceTest;
INSTANTIATE_TEST_SUITE_P(Devices, DepthGroupsOn, testing::ValuesIn(test_devices()), device_name);

std::vector<Tensor> take_all_gradients(const Parameters& parameters) {
  std::vector<Tensor> out;
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    Tensor parameter = item.tensor;
    out.push_back(parameter.grad().clone());
    parameter.mutable_grad() = Tensor();
  }
  return out;
}

// A step of grouped sequences, with masks of documents and random first states, against each
// sequence alone at its depth.
TEST_P(DepthGroupsOn, GroupsAddUpToTheGradientsOfSequencesAlone) {
  Config config;
  config.model = mythos::small_config();
  config.model.initial_state = InitialState::random;
  const Model model = sample_model(config.model, 3, device_);
  std::vector<Batch> batches = {sequences(0, 2), sequences(2, 2), sequences(4, 2)};
  batches[1].targets[3] = batches[1].targets[4] = -1;
  const std::vector<int64_t> loops = {4, 1, 4, 4, 2, 1};
  const auto seeds = state_seeds_of_step(1, 0, 6);
  const auto groups = depth_groups(batches, loops, seeds);
  const StepResult grouped = forward_backward(config, model.parameters, groups, 34, at::kFloat);
  const auto found = take_all_gradients(model.parameters);
  std::vector<DepthGroup> alone;
  for (size_t n = 0; n < 6; ++n) {
    Batch batch = sequences(static_cast<int64_t>(n), 1);
    if (n == 2) batch.targets[3] = batch.targets[4] = -1;
    alone.push_back({batch, loops[n], {seeds[n]}});
  }
  const StepResult apart = forward_backward(config, model.parameters, alone, 34, at::kFloat);
  const auto expected = take_all_gradients(model.parameters);
  EXPECT_NEAR(grouped.nats.item<double>(), apart.nats.item<double>(), 1e-4);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_LT((found[i] - expected[i]).abs().max().item<double>(), 2e-6) << i;
  }
  // 34 positions with targets choose two experts in each of their loops.
  EXPECT_EQ(grouped.expert_load[0].sum().item<double>(), 2 * (6 * (4 + 1 + 4 + 2 + 1) + 4 * 4));
}

}  // namespace
}  // namespace mythos
