#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

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
  for (const Schedule schedule : {Schedule::cosine, Schedule::linear_cooldown, Schedule::constant,
                                  Schedule::wsd, Schedule::inverse_sqrt}) {
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

// Warm-up, stable, then 1 − sqrt of the share of the 40 steps that is done.
TEST(LearningRate, WsdIsFlatAndThenFallsByTheSquareRoot) {
  const TrainConfig config = config_of(Schedule::wsd);
  EXPECT_DOUBLE_EQ(learning_rate(config, 10), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(config, 59), 2.0);
  EXPECT_NEAR(learning_rate(config, 60), 2.0 - 1.8 * std::sqrt(1.0 / 40), 1e-12);
  EXPECT_NEAR(learning_rate(config, 69), 2.0 - 1.8 * 0.5, 1e-12);
  EXPECT_NEAR(learning_rate(config, 99), 0.2, 1e-12);
}

TEST(LearningRate, InverseSqrtFallsFromThePeakWhateverTheLength) {
  TrainConfig config = config_of(Schedule::inverse_sqrt);
  EXPECT_NEAR(learning_rate(config, 10), 2.0 * std::sqrt(10.0 / 11), 1e-12);
  EXPECT_NEAR(learning_rate(config, 39), 1.0, 1e-12);
  config.steps = 100000;
  EXPECT_NEAR(learning_rate(config, 39), 1.0, 1e-12);
  EXPECT_NEAR(learning_rate(config, 99999), 0.2, 1e-12);  // never below min_lr_ratio
  config.warmup_steps = 0;
  EXPECT_NEAR(learning_rate(config, 0), 2.0, 1e-12);
  EXPECT_NEAR(learning_rate(config, 3), 1.0, 1e-12);
}

TEST(LearningRate, IsThePeakTimesTheFactor) {
  TrainConfig config = config_of(Schedule::cosine);
  for (int64_t step = 0; step < 100; ++step) {
    EXPECT_DOUBLE_EQ(learning_rate(config, step), 2.0 * schedule_factor(config, step));
  }
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

// Drawn 20000 times: the number of times that each count came up.
std::map<int64_t, int64_t> histogram(const LoopDistribution& loops) {
  std::map<int64_t, int64_t> times;
  for (int64_t step = 0; step < 20000; ++step) ++times[loops_of_step(loops, 7, step)];
  return times;
}

// Before the cut: the mean and the variance of 1 + Poisson(λ), λ log-normal with mean m, are 1 + m
// and m + m²(exp σ² − 1).
TEST(LoopsOfStepAlone, LognormalPoissonHasTheMomentsOfGeipingEtAl) {
  LoopDistribution loops{LoopSampling::lognormal_poisson, 12, 1, 1 << 20};
  for (const double sigma : {0.0, 0.5}) {
    loops.sigma = sigma;
    double sum = 0, squares = 0;
    for (const auto& [count, times] : histogram(loops)) {
      sum += static_cast<double>(count * times);
      squares += static_cast<double>(count * count * times);
    }
    const double mean = sum / 20000, variance = squares / 20000 - mean * mean;
    EXPECT_NEAR(mean, 13, 0.15) << sigma;
    const double want = 12 + 144 * (std::exp(sigma * sigma) - 1);
    EXPECT_NEAR(variance, want, 0.08 * want) << sigma;
  }
  loops.max = 20;
  const auto times = histogram(loops);
  EXPECT_EQ(times.rbegin()->first, 20);
  EXPECT_GE(times.begin()->first, 1);
  loops.sigma = 10;  // of which many rates are far beyond the cut
  EXPECT_LE(histogram(loops).rbegin()->first, 20);
}

TEST(LoopsOfStepAlone, TheCountsOfASetAreEquallyLikely) {
  LoopDistribution loops{LoopSampling::set, 0, 1, 8};
  loops.counts = {1, 2, 4, 8};
  const auto times = histogram(loops);
  ASSERT_EQ(times.size(), 4U);
  for (const int64_t count : loops.counts) {
    EXPECT_NEAR(static_cast<double>(times.at(count)), 5000, 300) << count;
  }
}

TEST(LoopsOfSequences, AreThoseOfTheStepOrADrawForEach) {
  LoopDistribution loops{LoopSampling::poisson, 8, 1, 16};
  const int64_t step = loops_of_step(loops, 3, 5);
  EXPECT_EQ(loops_of_sequences(loops, 3, 5, 3), (std::vector<int64_t>{step, step, step}));
  loops.per = LoopsPer::sequence;
  const std::vector<int64_t> drawn = loops_of_sequences(loops, 3, 5, 2000);
  // A sequence's number does not depend on how many there are.
  const std::vector<int64_t> few = loops_of_sequences(loops, 3, 5, 10);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), drawn.begin()));
  EXPECT_NE(loops_of_sequences(loops, 3, 6, 10), few);
  EXPECT_NE(loops_of_sequences(loops, 4, 5, 10), few);
  double sum = 0;
  int same_as_next = 0;
  for (size_t i = 0; i < drawn.size(); ++i) {
    sum += static_cast<double>(drawn[i]);
    EXPECT_GE(drawn[i], 1);
    EXPECT_LE(drawn[i], 16);
    same_as_next += i > 0 && drawn[i] == drawn[i - 1];
  }
  EXPECT_NEAR(sum / 2000, 8, 0.25);
  EXPECT_LT(same_as_next, 400);  // one in nine of independent draws
}

TEST(LoopCurriculum, GrowsTheMeanOverItsShareOfTheSteps) {
  TrainConfig train;
  train.steps = 200;
  train.loop_curriculum_fraction = 0.5;
  const LoopDistribution whole = loop_distribution(train, ModelConfig{});  // mean 8, up to 16
  const auto mean = [&](int64_t step) { return distribution_of_step(whole, train, step).mean; };
  EXPECT_EQ(mean(0), 8);
  train.loop_curriculum = LoopCurriculum::linear;
  EXPECT_EQ(mean(0), 1);
  EXPECT_DOUBLE_EQ(mean(50), 4.5);
  EXPECT_EQ(distribution_of_step(whole, train, 50).max, 9);
  EXPECT_EQ(mean(100), 8);
  EXPECT_EQ(mean(150), 8);
  EXPECT_EQ(distribution_of_step(whole, train, 100).max, 16);
  train.loop_curriculum = LoopCurriculum::one_minus_sqrt;
  EXPECT_EQ(mean(0), 1);
  EXPECT_DOUBLE_EQ(mean(75), 4.5);
  EXPECT_DOUBLE_EQ(mean(50), 1 + 7 * (1 - std::sqrt(0.5)));
  EXPECT_EQ(mean(100), 8);
  for (int64_t step = 1; step <= 100; ++step) EXPECT_GT(mean(step), mean(step - 1));
  train.loop_curriculum_fraction = 0;
  EXPECT_EQ(mean(0), 8);
}

// The mean of retrofitted recurrence (McLeish et al. 2025, arXiv 2511.07384) is ⌈32·(1 − √(1 −
// x))⌉, at least 1; that of a run here grows from 1 without steps, so that they are less than 1
// apart.
TEST(LoopCurriculum, OneMinusSqrtFollowsItsSource) {
  TrainConfig train;
  train.steps = 1000;
  train.loop_curriculum = LoopCurriculum::one_minus_sqrt;
  train.loop_curriculum_fraction = 0.25;
  train.mean_loops = 32;
  const LoopDistribution whole = loop_distribution(train, ModelConfig{});
  const auto mean = [&](int64_t step) { return distribution_of_step(whole, train, step).mean; };
  const std::pair<int64_t, double> values[] = {{0, 1},    {25, 2},   {50, 4},   {90, 7},  {125, 10},
                                               {160, 13}, {200, 18}, {240, 26}, {249, 30}};
  for (const auto& [step, source] : values) {
    const double share = 1 - std::sqrt(1 - static_cast<double>(step) / 250);
    EXPECT_EQ(std::max(1.0, std::ceil(32 * share)), source) << step;
    EXPECT_DOUBLE_EQ(mean(step), 1 + 31 * share) << step;
    EXPECT_LT(std::abs(mean(step) - source), 1) << step;
  }
  EXPECT_EQ(mean(250), 32);
}

}  // namespace
}  // namespace mythos
