#include "train/length.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../scratch.h"
#include "arch/plan.h"

namespace mythos {
namespace {

Config config_with(const std::string& length) {
  Config config;
  config.train.length = length;
  config.train.batch_size = 4;
  config.train.seq_len = 256;
  config.train.grad_accum = 2;
  config.train.warmup_steps = 3;
  return config;
}

int64_t settled(Config config, const std::vector<std::string>& assignments = {}) {
  settle_length(config, assignments, 1e6);
  return config.train.steps;
}

TEST(Length, SetsTheSteps) {
  EXPECT_EQ(settled(config_with("")), 1000);
  EXPECT_EQ(settled(config_with("70")), 70);
  EXPECT_EQ(settled(config_with("1Mt")), 489);
  EXPECT_EQ(settled(config_with("2e")), 977);
}

TEST(Length, CountsFlopsAtTheMeanNumberOfLoops) {
  Config config = config_with("1e15f");
  config.train.mean_loops = 2.5;
  config.train.backprop_loops = 0;
  const auto macs = [&](int64_t loops) {
    const Plan plan = make_plan(config.model, loops, 256);
    return static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
  };
  const double flops = 6 * (macs(2) + macs(3)) / 2;
  EXPECT_NEAR(training_flops_per_token(config), flops, 1e-6 * flops);
  EXPECT_EQ(settled(config), static_cast<int64_t>(std::ceil(1e15 / (flops * 2048))));
}

TEST(Length, StepsOfTheCommandLineReplaceThatOfAFile) {
  Config config = config_with("70");
  config.train.steps = 20;
  settle_length(config, {"train.lr=0.1", "steps=20"}, 1e6);
  EXPECT_EQ(config.train.steps, 20);
  EXPECT_EQ(config.train.length, "");
  config = config_with("70");
  const std::string message = error_of(ErrorKind::usage, [&] {
    settle_length(config, {"train.length=70", "train.steps=20"}, 1e6);
  });
  EXPECT_TRUE(contains(message, "train.steps and train.length both")) << message;
}

TEST(Length, AScheduleLongerThanTheDataIsRefused) {
  Config config = config_with("0.004e");  // 1.95 steps
  const std::string message = error_of(ErrorKind::usage, [&] { settle_length(config, {}, 1e6); });
  EXPECT_TRUE(contains(message, "train.warmup_steps = 3 is longer than the run")) << message;
  EXPECT_TRUE(contains(message, "train.length = \"0.004e\" is 2 steps of 2,048 tokens")) << message;
  config.train.warmup_steps = 2;
  settle_length(config, {}, 1e6);
  EXPECT_EQ(config.train.steps, 2);
}

}  // namespace
}  // namespace mythos
