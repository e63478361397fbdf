#include "config/param_groups.h"

#include <gtest/gtest.h>

#include "../scratch.h"
#include "base/glob.h"
#include "config/config.h"

namespace mythos {
namespace {

TEST(Glob, MatchesWholeTexts) {
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("a*c", "abcbc"));
  EXPECT_TRUE(matches_glob("*.wo.*", "core.0.attn.wo.weight"));
  EXPECT_TRUE(matches_glob("core.?.a", "core.1.a"));
  EXPECT_TRUE(matches_glob("**a", "a"));
  EXPECT_FALSE(matches_glob("core", "core.0"));
  EXPECT_FALSE(matches_glob("core.?.a", "core.10.a"));
  EXPECT_FALSE(matches_glob("a*c", "abcb"));
  EXPECT_FALSE(matches_glob("", "a"));
}

TEST(ParamGroups, AreReadInTheirOrder) {
  EXPECT_TRUE(parse_param_groups("  ").empty());
  const auto groups = parse_param_groups("embed.* lr=0.1 ;core.* decay=0 lr=2;  *.wo.* decay=0.5;");
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].pattern, "embed.*");
  EXPECT_EQ(groups[0].lr_factor, 0.1);
  EXPECT_EQ(groups[0].decay, std::nullopt);
  EXPECT_EQ(groups[1].lr_factor, 2.0);
  EXPECT_EQ(groups[1].decay, 0.0);
  const ParamGroup wo = param_group_of("core.0.attn.wo.weight", groups);
  EXPECT_EQ(wo.lr_factor, 2.0);
  EXPECT_EQ(wo.decay, 0.5);  // the later one
  EXPECT_EQ(param_group_of("norm.weight", groups).lr_factor, std::nullopt);
}

TEST(ParamGroups, MayHaveASchedule) {
  const auto groups = parse_param_groups("core.* schedule=constant warmup=0 min=1; a min=0.5");
  TrainConfig run;
  run.schedule = Schedule::wsd;
  const TrainConfig core = with_schedule_of(run, param_group_of("core.0.wo.weight", groups));
  EXPECT_EQ(core.schedule, Schedule::constant);
  EXPECT_EQ(core.warmup_steps, 0);
  EXPECT_EQ(core.min_lr_ratio, 1);
  TrainConfig a = with_schedule_of(run, param_group_of("a", groups));
  EXPECT_EQ(a.min_lr_ratio, 0.5);
  a.min_lr_ratio = run.min_lr_ratio;
  EXPECT_EQ(a, run);  // all else is the run's
  EXPECT_EQ(with_schedule_of(run, param_group_of("b", groups)), run);
}

TEST(ParamGroups, MistakesAreNamed) {
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {"embed.*", "\"embed.*\": sets nothing"},
           {"lr=0.1", "begins without a pattern"},
           {"a lr=0.1; b rate=3",
            "\"b rate=3\": 'rate=3' is no setting; expected \"PATTERN lr=FACTOR"},
           {"a lr", "'lr' is no setting"},
           {"a lr=", "\"a lr=\": lr = \"\": expected a number, 0 to 1000"},
           {"a lr=-1", "lr = -1: out of range; allowed: 0 to 1000"},
           {"a decay=nan", "decay = nan: out of range"},
           {"a lr=1 lr=2", "lr is set twice"},
           {"a schedule=cosin",
            "\"a schedule=cosin\": schedule = \"cosin\": expected one of cosine, linear-cooldown, "
            "constant, wsd, inverse-sqrt. Did you mean 'cosine'?"},
           {"a schedule=", "schedule = \"\": expected one of cosine"},
           {"a schedule=wsd schedule=wsd", "schedule is set twice"},
           {"a warmup=1.5", "warmup = 1.5: expected a whole number"},
           {"a warmup=-1", "warmup = -1: out of range"},
           {"a min=2", "min = 2: out of range; allowed: 0 to 1"}}) {
    const std::string message =
        error_of(ErrorKind::usage, [text = text] { parse_param_groups(text); });
    EXPECT_TRUE(contains(message, "train.param_groups")) << message;
    EXPECT_TRUE(contains(message, what)) << message;
    Config config;
    config.train.param_groups = text;
    EXPECT_EQ(error_of(ErrorKind::usage, [&] { config.validate(); }), message);
  }
}

TEST(ParamGroups, PatternsMustMatch) {
  const std::vector<std::string> names = {"embed.weight", "norm.weight"};
  require_matches(parse_param_groups("embed.* lr=1; n* lr=1"), names);
  const auto message = [&](const char* text) {
    return error_of(ErrorKind::usage, [&] { require_matches(parse_param_groups(text), names); });
  };
  EXPECT_TRUE(contains(message("embed.weigth lr=1"), "Did you mean 'embed.weight'?"));
  EXPECT_TRUE(contains(message("core.* lr=1"),
                       "'core.*' matches no trained tensor of the model. They have names such as "
                       "embed.weight and norm.weight"));
}

}  // namespace
}  // namespace mythos
