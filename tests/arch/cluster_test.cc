#include "arch/cluster.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "arch/plan.h"
#include "arch/tensors.h"

namespace mythos {
namespace {

ClusterPlan planned(const std::string& preset, int64_t gpus, const std::string& gpu = "h100-80g") {
  ClusterOptions options;
  options.gpus = gpus;
  options.gpu = gpu;
  return make_cluster_plan(load_preset(preset), options);
}

TEST(ClusterPlan, LayoutsShareWhatTheyPromise) {
  Config config = load_preset("mythos-1b");
  config.train.optimizer = Optimizer::adamw;  // which cuts matrices anywhere
  ClusterOptions options;
  options.gpus = 8;
  const ClusterPlan plan = make_cluster_plan(config, options);
  ASSERT_EQ(plan.layouts.size(), 3u);
  const LayoutPlan &whole = plan.layouts[0], &optimizer = plan.layouts[1], &all = plan.layouts[2];
  const auto eighth = [](int64_t part, int64_t of) {
    EXPECT_NEAR(static_cast<double>(part), static_cast<double>(of) / 8,
                static_cast<double>(of) * 0.01);
  };
  const RankState &of_whole = whole.memory.state, &of_all = all.memory.state;
  EXPECT_EQ(optimizer.memory.state.weights, of_whole.weights);
  eighth(optimizer.memory.state.optimizer, of_whole.optimizer);
  eighth(of_all.weights, of_whole.weights);
  eighth(of_all.gradients, of_whole.gradients);
  EXPECT_LT(all.memory.pass_weights, of_whole.weights + of_whole.gradients);
  EXPECT_LT(optimizer.total, whole.total);
  EXPECT_LT(all.total, optimizer.total);
}

TEST(ClusterPlan, FullyShardedHoldsAFewOfManyBlocks) {
  Config config = load_preset("mythos-1b");
  config.model.prelude_layers = config.model.coda_layers = 40;
  ClusterOptions options;
  options.gpus = 8;
  const LayoutPlan all = make_cluster_plan(config, options).layouts[2];
  EXPECT_LT(all.memory.pass_weights, weight_bytes(config.model, false) / 2);
  EXPECT_EQ(all.memory.copies, 0);
  // All but the embedding and the last layer are gathered twice.
  const auto gathered = static_cast<double>(all.volume.all_gather);
  const auto summed = static_cast<double>(all.volume.reduce_scatter);
  EXPECT_GT(gathered, 1.8 * summed);
  EXPECT_LT(gathered, 2 * summed);
}

TEST(ClusterPlan, ExpertsAreDividedAmongGpus) {
  Config config = load_preset("mythos-3b");
  ClusterOptions options;
  options.gpus = 8;
  config.train = TrainConfig();
  config.train.backprop_loops = 0;
  config.train.batch_size = 16;
  const ClusterPlan whole = make_cluster_plan(config, options);
  config.train.expert_ranks = 4;
  const ClusterPlan parted = make_cluster_plan(config, options);
  ASSERT_EQ(parted.layouts.size(), 3u);
  const LayoutPlan &all = whole.layouts[0], &part = parted.layouts[0];
  int64_t experts = 0;
  for (const TensorDeclaration& tensor : declared_tensors(config.model)) {
    if (tensor.use == Use::experts) experts += tensor.numel();
  }
  ASSERT_GT(experts, 0);
  const RankState &before = all.memory.state, &after = part.memory.state;
  EXPECT_EQ(before.weights - after.weights, 3 * experts);  // 4 bytes of three quarters
  EXPECT_EQ(before.gradients - after.gradients, 3 * experts);
  EXPECT_EQ(before.optimizer - after.optimizer, 6 * experts);
  EXPECT_EQ(all.memory.copies - part.memory.copies, 2 * experts * 3 / 4);
  EXPECT_GT(part.memory.activations, all.memory.activations);
  EXPECT_EQ(all.volume.all_to_all, 0);
  // Forward and backward, there and back: three quarters of k rows of a token in bf16, and counts.
  const ModelConfig& model = config.model;
  const int64_t mixtures = model.max_loop_iters * model.core_layers;
  const int64_t rows = part.sequences * config.train.seq_len * model.n_experts_per_tok;
  const int64_t passes = (part.sequences + part.micro_batch - 1) / part.micro_batch;
  EXPECT_EQ(part.volume.all_to_all,
            mixtures * (4 * rows * 3 / 4 * model.dim * 2 + passes * 3 * (model.n_experts / 4) * 8));
  EXPECT_LT(part.volume.sum, all.volume.sum);
  // Where ranks share more, each has its eighth as before, and sends less of experts.
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const LayoutPlan &shared = whole.layouts[i], &both = parted.layouts[i];
    const RankState &of_shared = shared.memory.state, &of_both = both.memory.state;
    EXPECT_NEAR(static_cast<double>(of_both.optimizer), static_cast<double>(of_shared.optimizer),
                static_cast<double>(of_shared.optimizer) * 1e-6);
    const int64_t elsewhere = i == 1 ? 3 * experts : 0;
    EXPECT_NEAR(static_cast<double>(of_shared.weights - of_both.weights),
                static_cast<double>(elsewhere), static_cast<double>(of_shared.weights) * 1e-6);
    EXPECT_EQ(both.volume.all_to_all, part.volume.all_to_all);
    EXPECT_LT(both.volume.reduce_scatter, shared.volume.reduce_scatter);
    EXPECT_LT(both.volume.all_gather, shared.volume.all_gather);
    EXPECT_LT(both.total, shared.total);
  }
  EXPECT_NE(cluster_text(parted).find("experts divided among 4 GPUs"), std::string::npos);
  config.train.expert_ranks = 16;
  EXPECT_NE(error_of(ErrorKind::usage, [&] { make_cluster_plan(config, options); })
                .find("train.expert_ranks = 16 does not divide the number of ranks, 8"),
            std::string::npos);
}

TEST(ClusterPlan, TimesFollowFromTheGpusPeakAndTheBytesSent) {
  const ClusterPlan one = planned("mythos-1b", 1), two = planned("mythos-1b", 2);
  ASSERT_EQ(one.layouts.size(), 1u);
  EXPECT_EQ(one.layouts[0].network_seconds, 0);
  EXPECT_EQ(one.layouts[0].step_seconds, one.layouts[0].compute_seconds);
  const Config config = load_preset("mythos-1b");
  const double tokens =
      static_cast<double>(config.train.batch_size * config.train.grad_accum * config.train.seq_len);
  EXPECT_NEAR(one.layouts[0].compute_seconds,
              tokens * training_flops(config, config.model.max_loop_iters, config.train.seq_len) /
                  (0.4 * 989e12),
              1e-9);
  EXPECT_NEAR(two.layouts[0].compute_seconds, one.layouts[0].compute_seconds / 2, 1e-9);
  const double sent = static_cast<double>(two.layouts[0].volume.sum);
  EXPECT_NEAR(two.layouts[0].network_seconds, sent / 450e9, 0.01 * sent / 450e9);
}

TEST(ClusterPlan, SaysWhatDoesNotFit) {
  const ClusterPlan plan = planned("mythos-1t", 64);
  for (const LayoutPlan& layout : plan.layouts) EXPECT_FALSE(layout.fits);
  EXPECT_NE(cluster_text(plan).find("does not fit, mostly optimizer"), std::string::npos);
  EXPECT_NE(cluster_text(plan).find("does not fit, mostly gathered weights"), std::string::npos);
  EXPECT_EQ(to_json(plan)["layouts"][2]["fits"], false);
  EXPECT_TRUE(planned("nano", 8).layouts[0].fits);
}

TEST(ClusterPlan, RefusesGpusThatDoNotDivideAStepAndUnknownOnes) {
  const auto message = [](int64_t gpus, const std::string& gpu) {
    return error_of(ErrorKind::usage, [&] { planned("nano", gpus, gpu); });
  };
  EXPECT_NE(message(3, "h100-80g").find("does not divide the 8 sequences"), std::string::npos);
  EXPECT_NE(message(2, "h100").find("known are a100-80g"), std::string::npos);
}

}  // namespace
}  // namespace mythos
