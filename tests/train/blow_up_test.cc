#include "train/blow_up.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mythos {
namespace {

using Verdict = BlowUpWatch::Verdict;

// ln 1024 = 6.93, so the limit lies 3.47 above the lowest.
TEST(BlowUpWatch, TellsASpikeFromABlowUp) {
  BlowUpWatch watch(1024);
  EXPECT_EQ(watch.judge(10, 7.0), Verdict::sound);
  EXPECT_EQ(watch.judge(20, 3.0), Verdict::sound);
  EXPECT_EQ(watch.judge(30, 6.4), Verdict::sound);
  EXPECT_EQ(watch.judge(40, 6.5), Verdict::begins);
  EXPECT_TRUE(watch.above_limit());
  EXPECT_EQ(watch.judge(50, 6.5), Verdict::goes_on);
  EXPECT_EQ(watch.judge(60, 3.1), Verdict::sound);
  EXPECT_FALSE(watch.above_limit());
  EXPECT_EQ(watch.judge(70, 1223), Verdict::begins);
  EXPECT_EQ(watch.judge(119, 1223), Verdict::goes_on);
  EXPECT_EQ(watch.judge(120, 1223), Verdict::lasts);
  EXPECT_EQ(watch.steps(), 50);
  EXPECT_EQ(watch.lowest(), 3.0);
}

TEST(BlowUpWatch, CountsFromTheUniformDistributionAtFirst) {
  BlowUpWatch watch(1024);
  EXPECT_EQ(watch.judge(1, 9.0), Verdict::sound);
  EXPECT_EQ(watch.judge(2, 10.5), Verdict::begins);
}

TEST(BlowUpWatch, LetsFarOffWeightsComeDown) {
  BlowUpWatch watch(1024);
  EXPECT_EQ(watch.judge(100, 60), Verdict::unsound);
  EXPECT_EQ(watch.judge(200, 40), Verdict::unsound);
  EXPECT_TRUE(watch.above_limit());
  EXPECT_EQ(watch.judge(300, 9), Verdict::sound);
  EXPECT_EQ(watch.judge(400, 40), Verdict::begins);
}

TEST(BlowUpWatch, JudgesAlikeAfterACheckpoint) {
  BlowUpWatch watch(1024), resumed(1024);
  nlohmann::json state;
  watch.save(state);
  resumed.restore(state);
  EXPECT_EQ(resumed.judge(1, 60), Verdict::unsound);
  watch.judge(10, 3);
  watch.judge(20, 30);
  watch.save(state);
  BlowUpWatch again(1024);
  again.restore(nlohmann::json::parse(state.dump()));
  EXPECT_EQ(again.judge(69, 30), Verdict::goes_on);
  EXPECT_EQ(again.judge(70, 30), Verdict::lasts);
  EXPECT_EQ(again.lowest(), 3);
  BlowUpWatch old(1024);
  old.restore({{"step", 3}});
  EXPECT_EQ(old.judge(4, 8), Verdict::sound);
}

}  // namespace
}  // namespace mythos
