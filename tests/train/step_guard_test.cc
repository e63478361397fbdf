#include "train/step_guard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace mythos {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TrainConfig guarded(int64_t skip_steps, double deviations) {
  TrainConfig config;
  config.skip_steps = skip_steps;
  config.skip_deviations = deviations;
  config.rollbacks = 2;
  return config;
}

// Losses around 3 and norms around 1, which vary by about 0.1.
void add_sound_steps(StepGuard& guard, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const double wave = 0.1 * std::sin(static_cast<double>(i));
    ASSERT_FALSE(guard.judge(3 + wave, 1 - wave)) << i;
  }
}

TEST(StepGuard, SkipsWhatIsNotFiniteFromTheFirstStepOn) {
  StepGuard guard(guarded(2, 0));
  EXPECT_TRUE(guard.judge(kNaN, 1));
  EXPECT_EQ(guard.reason(), "the loss is not finite");
  EXPECT_TRUE(guard.judge(3, std::numeric_limits<double>::infinity()));
  EXPECT_EQ(guard.reason(), "the gradient norm is not finite");
  EXPECT_EQ(guard.bad_in_row(), 2);
  EXPECT_FALSE(guard.exhausted());
  EXPECT_TRUE(guard.judge(kNaN, kNaN));
  EXPECT_TRUE(guard.exhausted());
  EXPECT_FALSE(guard.judge(1e9, 1e9));  // finite, and deviations are not judged
  EXPECT_EQ(guard.bad_in_row(), 0);
}

TEST(StepGuard, SkipsWhatLiesFarAboveTheRecentMean) {
  StepGuard guard(guarded(2, 6));
  EXPECT_FALSE(guard.judge(30, 10));  // nothing to compare with
  guard = StepGuard(guarded(2, 6));
  add_sound_steps(guard, 40);
  EXPECT_FALSE(guard.judge(3.2, 1.2));
  EXPECT_FALSE(guard.judge(0.5, 0.1));  // below the mean nothing is wrong
  EXPECT_TRUE(guard.judge(8, 1));
  EXPECT_NE(guard.reason().find("the loss, 8, lies "), std::string::npos) << guard.reason();
  EXPECT_TRUE(guard.judge(3, 9));
  EXPECT_NE(guard.reason().find("the gradient norm, 9, lies "), std::string::npos);
  EXPECT_FALSE(guard.judge(3, 1));
}

TEST(StepGuard, BadStepsDoNotMoveTheMean) {
  StepGuard guard(guarded(1000, 6));
  add_sound_steps(guard, 40);
  nlohmann::json before, after;
  guard.save(before);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(guard.judge(8, 1));
  guard.save(after);
  for (const char* key : {"loss_mean", "loss_variance", "norm_mean", "norm_variance"}) {
    EXPECT_EQ(before["guard"][key], after["guard"][key]);
  }
}

// Mean and variance of the first steps are those of all of them, computed plainly.
TEST(StepGuard, MeanAndVarianceAreThoseOfTheFirstSteps) {
  StepGuard guard(guarded(1, 6));
  const std::vector<double> losses = {3, 4, 2.5, 6, 1};
  double mean = 0, variance = 0;
  for (const double loss : losses) {
    guard.judge(loss, 1);
    mean += loss / 5;
  }
  for (const double loss : losses) variance += (loss - mean) * (loss - mean) / 5;
  nlohmann::json state;
  guard.save(state);
  EXPECT_NEAR(state["guard"]["loss_mean"].get<double>(), mean, 1e-12);
  EXPECT_NEAR(state["guard"]["loss_variance"].get<double>(), variance, 1e-12);
  EXPECT_NEAR(state["guard"]["norm_variance"].get<double>(), 0, 1e-12);
}

TEST(StepGuard, ReturnsLowerTheRateUntilTheyAreUsedUp) {
  StepGuard guard(guarded(0, 0));
  EXPECT_FALSE(guard.on());
  guard = StepGuard(guarded(1, 0));
  guard.judge(kNaN, 1);
  guard.judge(kNaN, 1);
  EXPECT_TRUE(guard.exhausted() && guard.can_roll_back());
  guard.roll_back();
  EXPECT_FALSE(guard.exhausted());
  EXPECT_EQ(guard.rate_factor(), 0.5);
  guard.roll_back();
  EXPECT_EQ(guard.rate_factor(), 0.25);
  EXPECT_FALSE(guard.can_roll_back());
}

TEST(StepGuard, GoesOnFromItsState) {
  StepGuard guard(guarded(3, 6));
  add_sound_steps(guard, 33);
  guard.judge(kNaN, 1);
  guard.roll_back();
  guard.judge(kNaN, 1);
  nlohmann::json state;
  guard.save(state);
  StepGuard resumed(guarded(3, 6));
  resumed.restore(nlohmann::json::parse(state.dump()));
  for (const double loss : {3.0, 3.1, 5.0, 7.0, 3.0}) {
    EXPECT_EQ(guard.judge(loss, 1), resumed.judge(loss, 1));
  }
  nlohmann::json a, b;
  guard.save(a);
  resumed.save(b);
  EXPECT_EQ(a, b);
  resumed.restore(nlohmann::json::object());  // of a run that had no guard
  nlohmann::json off;
  StepGuard(TrainConfig()).save(off);
  EXPECT_FALSE(off.contains("guard"));
}

}  // namespace
}  // namespace mythos
