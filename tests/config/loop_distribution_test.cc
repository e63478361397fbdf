#include "config/loop_distribution.h"

#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace mythos {
namespace {

ModelConfig model_of(int64_t max_loop_iters) {
  ModelConfig model;
  model.max_loop_iters = max_loop_iters;
  return model;
}

TEST(LoopDistribution, TakesTheModelsLoopsUnlessToldOtherwise) {
  const ModelConfig model = model_of(6);
  TrainConfig train;
  EXPECT_EQ(loop_distribution(train, model).mean, 6);
  EXPECT_EQ(loop_distribution(train, model).max, 12);
  train.loop_sampling = LoopSampling::uniform;
  EXPECT_EQ(loop_distribution(train, model).min, 1);
  EXPECT_EQ(loop_distribution(train, model).max, 11);
  train.loop_sampling = LoopSampling::fixed;
  EXPECT_EQ(loop_distribution(train, model).min, 6);
  EXPECT_EQ(loop_distribution(train, model).max, 6);
}

TEST(LoopDistribution, APoissonMeanOfOneIsOneLoop) {
  EXPECT_EQ(loop_distribution(TrainConfig{}, model_of(1)).max, 1);
}

TEST(LoopDistribution, ASetHasItsOwnLimitsAndMean) {
  TrainConfig train;
  train.loop_sampling = LoopSampling::set;
  train.loop_set = " 8 1  2 ";
  train.loops_per = LoopsPer::sequence;
  const LoopDistribution loops = loop_distribution(train, model_of(6));
  EXPECT_EQ(loops.counts, (std::vector<int64_t>{8, 1, 2}));
  EXPECT_EQ(loops.min, 1);
  EXPECT_EQ(loops.max, 8);
  EXPECT_DOUBLE_EQ(loops.mean, 11.0 / 3);
  EXPECT_EQ(loops.per, LoopsPer::sequence);
}

TEST(LoopDistribution, LognormalPoissonHasSigmaAndTheOthersNone) {
  TrainConfig train;
  train.loop_sigma = 0.25;
  EXPECT_EQ(loop_distribution(train, model_of(6)).sigma, 0);
  train.loop_sampling = LoopSampling::lognormal_poisson;
  EXPECT_EQ(loop_distribution(train, model_of(6)).sigma, 0.25);
  EXPECT_EQ(loop_distribution(train, model_of(6)).max, 12);
}

TEST(LoopDistribution, GrowsFromOneLoop) {
  TrainConfig train;
  train.loop_sampling = LoopSampling::uniform;
  train.max_sampled_loops = 13;
  const LoopDistribution whole = loop_distribution(train, model_of(9));  // 5 to 13
  const LoopDistribution none = grown_distribution(whole, 0);
  EXPECT_EQ(none.mean, 1);
  EXPECT_EQ(none.min, 1);
  EXPECT_EQ(none.max, 1);
  const LoopDistribution half = grown_distribution(whole, 0.5);
  EXPECT_EQ(half.mean, 5);
  EXPECT_EQ(half.min, 3);
  EXPECT_EQ(half.max, 7);
  EXPECT_EQ(grown_distribution(whole, 1).max, 13);
}

TEST(LoopDistribution, ASetGrowsCountByCount) {
  TrainConfig train;
  train.loop_sampling = LoopSampling::set;
  train.loop_set = "9 2 4 4";
  const LoopDistribution whole = loop_distribution(train, model_of(6));
  const auto counts = [&](double grown) { return grown_distribution(whole, grown).counts; };
  EXPECT_EQ(counts(0), (std::vector<int64_t>{2}));
  EXPECT_EQ(counts(0.5), (std::vector<int64_t>{2, 4, 4}));
  EXPECT_EQ(counts(0.99), (std::vector<int64_t>{9, 2, 4, 4}));
}

TEST(LoopDistribution, BackpropagationIsOfAllLoopsAGivenNumberOrHalfTheMean) {
  Config config;
  config.model = model_of(7);
  EXPECT_EQ(backprop_loops(config), 4);
  config.train.mean_loops = 8;
  EXPECT_EQ(backprop_loops(config), 4);
  config.train.mean_loops = 1;
  EXPECT_EQ(backprop_loops(config), 0);  // the only loop
  config.train.mean_loops = 1.5;
  EXPECT_EQ(backprop_loops(config), 1);
  config.train.loop_sampling = LoopSampling::set;
  config.train.mean_loops = 0;
  config.train.loop_set = "2 4 12";
  EXPECT_EQ(backprop_loops(config), 3);
  for (const int64_t given : {0, 3, 20}) {
    config.train.backprop_loops = given;
    EXPECT_EQ(backprop_loops(config), given);
  }
}

TEST(LoopDistribution, BackpropagationIsOfAllLoopsWhereTheyAllCount) {
  Config config;
  config.model = model_of(8);
  EXPECT_EQ(backprop_loops(config), 4);
  config.objectives.per_loop = 0.1;
  EXPECT_EQ(backprop_loops(config), 0);
  config.train.backprop_loops = 2;  // what is given counts
  EXPECT_EQ(backprop_loops(config), 2);
  for (const Halting halting : {Halting::act, Halting::act_reference, Halting::gate}) {
    Config halts;
    halts.model = model_of(8);
    halts.model.halting = halting;
    EXPECT_EQ(backprop_loops(halts), 0);
    halts.validate();
  }
  Config plain;
  plain.model = model_of(8);
  plain.model.injection = Injection::none;
  EXPECT_EQ(backprop_loops(plain), 0);
  plain.validate();
}

// What a warning says of these numbers of loops, one after the other.
std::string warnings(DepthWarning depth, const std::vector<int64_t>& loops) {
  testing::internal::CaptureStderr();
  for (const int64_t n : loops) depth.check(n);
  return testing::internal::GetCapturedStderr();
}

TEST(DepthWarning, NamesTheTrainedRangeOnce) {
  TrainConfig train;
  const ModelConfig model = model_of(8);
  EXPECT_EQ(warnings({train, model, true}, {1, 8, 16}), "");
  EXPECT_EQ(warnings({train, model, true}, {16, 17, 64}),
            "warning: 17 loops are outside the training's 1 to 16 loops a step (poisson, mean 8): "
            "quality may fall\n");
  train.loop_sampling = LoopSampling::uniform;
  train.max_sampled_loops = 10;
  EXPECT_EQ(warnings({train, model, true}, {6, 10, 5}),
            "warning: 5 loops are outside the training's 6 to 10 loops a step (uniform, mean 8): "
            "quality may fall\n");
  train.loop_sampling = LoopSampling::fixed;
  EXPECT_EQ(
      warnings({train, model, true}, {8, 4}),
      "warning: 4 loops are outside the training's 8 loops in every step: quality may fall\n");
}

TEST(DepthWarning, NamesTheCountsOfASet) {
  TrainConfig train;
  train.loop_sampling = LoopSampling::set;
  train.loop_set = "8 1 4 8";
  train.loops_per = LoopsPer::sequence;
  const ModelConfig model = model_of(8);
  EXPECT_EQ(warnings({train, model, true}, {1, 4, 8}), "");
  const char* what =
      "warning: %d loops are outside the training's 1, 4 or 8 loops a sequence (set): quality may "
      "fall\n";
  for (const int loops : {2, 9}) {
    EXPECT_EQ(warnings({train, model, true}, {loops}),
              std::string(what).replace(std::string(what).find("%d"), 2, std::to_string(loops)));
  }
}

TEST(DepthWarning, KnowsOfAnImportedModelItsLoopsAlone) {
  TrainConfig train;
  train.mean_loops = 2;
  EXPECT_EQ(
      warnings({train, model_of(8), false}, {1, 8, 9}),
      "warning: 9 loops are more than model.max_loop_iters = 8, which is all that an imported "
      "model tells of its training: quality may fall\n");
}

TEST(DepthWarning, LoopsThatTokensMayLeaveEarlyAreNotTooFew) {
  TrainConfig train;
  train.loop_sampling = LoopSampling::fixed;
  DepthWarning depth(train, model_of(8), true);
  testing::internal::CaptureStderr();
  depth.check_most(2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  depth.check_most(9);
  EXPECT_NE(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace mythos
