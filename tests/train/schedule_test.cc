#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mythos {
namespace {

TrainConfig config_of(Schedule schedule) {
  TrainConfig config;
  config.steps = 100;
  config.warmup_steps = 10;
  config.lr = 2.0;
  config.min_lr_ratio = 0.1;
  config.cooldown_fraction = 0.4;
  config.schedule = schedule;
  return config;
}

TEST(LearningRate, WarmsUpLinearlyToThePeak) {
  for (const Schedule schedule :
       {Schedule::cosine, Schedule::linear_cooldown, Schedule::constant}) {
    const TrainConfig config = config_of(schedule);
    EXPECT_DOUBLE_EQ(learning_rate(config, 0), 0.2);
    EXPECT_DOUBLE_EQ(learning_rate(config, 4), 1.0);
    EXPECT_DOUBLE_EQ(learning_rate(config, 9), 2.0);
  }
}

TEST(LearningRate, CosineEndsAtTheMinimum) {
  const TrainConfig config = config_of(Schedule::cosine);
  EXPECT_NEAR(learning_rate(config, 54), 0.5 * (2.0 + 0.2), 1e-12);
  EXPECT_DOUBLE_EQ(learning_rate(config, 99), 0.2);
  for (int64_t step = 10; step < 100; ++step) {
    EXPECT_LT(learning_rate(config, step), learning_rate(config, step - 1));
  }
}

TEST(LearningRate, LinearCooldownIsFlatAndThenFallsInAStraightLine) {
  const TrainConfig config = config_of(Schedule::linear_cooldown);
  EXPECT_DOUBLE_EQ(learning_rate(config, 10), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(config, 59), 2.0);
  EXPECT_NEAR(learning_rate(config, 79), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate(config, 99), 0.2, 1e-12);
}

TEST(LearningRate, ConstantStays) {
  const TrainConfig config = config_of(Schedule::constant);
  EXPECT_DOUBLE_EQ(learning_rate(config, 10), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(config, 99), 2.0);
}

TEST(LearningRate, WarmupMayFillTheWholeRun) {
  TrainConfig config = config_of(Schedule::cosine);
  config.warmup_steps = 1000;
  EXPECT_DOUBLE_EQ(learning_rate(config, 99), 0.2);
  config.warmup_steps = 100;
  EXPECT_DOUBLE_EQ(learning_rate(config, 99), 2.0);
  config.warmup_steps = 0;
  config.steps = 1;
  EXPECT_DOUBLE_EQ(learning_rate(config, 0), 0.2);
}

struct LoopCase {
  LoopSampling kind;
  double mean;
  int64_t limit;
};

class LoopsOfStep : public testing::TestWithParam<LoopCase> {};

TEST_P(LoopsOfStep, KeepsMeanAndLimits) {
  TrainConfig train;
  train.loop_sampling = GetParam().kind;
  train.mean_loops = GetParam().mean;
  train.max_sampled_loops = GetParam().limit;
  const LoopDistribution loops = loop_distribution(train, ModelConfig{});
  constexpr int64_t kSteps = 20000;
  double sum = 0;
  int64_t least = 1 << 20, most = 0;
  for (int64_t step = 0; step < kSteps; ++step) {
    const int64_t drawn = loops_of_step(loops, 7, step);
    sum += static_cast<double>(drawn);
    least = std::min(least, drawn);
    most = std::max(most, drawn);
  }
  EXPECT_NEAR(sum / kSteps, GetParam().mean, 0.03 * GetParam().mean);
  EXPECT_GE(least, 1);
  EXPECT_GE(least, loops.min);
  EXPECT_LE(most, loops.max);
  if (GetParam().limit > 0) {
    EXPECT_LE(most, GetParam().limit);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LoopsOfStep,
    testing::Values(LoopCase{LoopSampling::poisson, 8, 0}, LoopCase{LoopSampling::poisson, 8, 14},
                    LoopCase{LoopSampling::poisson, 1, 0}, LoopCase{LoopSampling::poisson, 2.5, 0},
                    LoopCase{LoopSampling::poisson, 40, 0}, LoopCase{LoopSampling::uniform, 8, 0},
                    LoopCase{LoopSampling::uniform, 8, 10}, LoopCase{LoopSampling::uniform, 7.5, 0},
                    LoopCase{LoopSampling::uniform, 1, 0}, LoopCase{LoopSampling::fixed, 8, 0}));

TEST(LoopsOfStepAlone, DependsOnSeedAndStepOnly) {
  const LoopDistribution loops{LoopSampling::poisson, 8, 1, 16};
  int same_as_next = 0, same_as_other_seed = 0;
  for (int64_t step = 0; step < 1000; ++step) {
    const int64_t drawn = loops_of_step(loops, 3, step);
    EXPECT_EQ(loops_of_step(loops, 3, step), drawn);
    same_as_next += loops_of_step(loops, 3, step + 1) == drawn;
    same_as_other_seed += loops_of_step(loops, 4, step) == drawn;
  }
  // Independent draws of this distribution agree about one time in nine.
  EXPECT_LT(same_as_next, 200);
  EXPECT_LT(same_as_other_seed, 200);
}

}  // namespace
}  // namespace mythos
