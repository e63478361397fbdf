#include "arch/cluster.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "arch/plan.h"

namespace mythos {
namespace {

ClusterPlan planned(const std::string& preset, int64_t gpus, const std::string& gpu = "h100-80g") {
  ClusterOptions options;
  options.gpus = gpus;
  options.gpu = gpu;
  return make_cluster_plan(load_preset(preset), options);
}

TEST(ClusterPlan, LayoutsShareWhatTheyPromise) {
  const ClusterPlan plan = planned("mythos-1b", 8);
  ASSERT_EQ(plan.layouts.size(), 3u);
  const LayoutPlan &whole = plan.layouts[0], &optimizer = plan.layouts[1], &all = plan.layouts[2];
  const auto eighth = [](int64_t part, int64_t of) {
    EXPECT_NEAR(static_cast<double>(part), static_cast<double>(of) / 8,
                static_cast<double>(of) * 0.01);
  };
  EXPECT_EQ(optimizer.state.weights, whole.state.weights);
  eighth(optimizer.state.optimizer, whole.state.optimizer);
  eighth(all.state.weights, whole.state.weights);
  eighth(all.state.gradients, whole.state.gradients);
  EXPECT_EQ(all.state.weights + all.pass_weights, whole.state.weights);
  EXPECT_LT(optimizer.total, whole.total);
  EXPECT_LT(all.total, optimizer.total);
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
