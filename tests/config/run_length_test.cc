#include "config/run_length.h"

#include <gtest/gtest.h>

#include "../scratch.h"
#include "config/config.h"

namespace mythos {
namespace {

using Unit = RunLength::Unit;

TEST(RunLength, IsReadInEveryUnit) {
  struct Case {
    const char* text;
    Unit unit;
    double count;
  };
  for (const Case& one : {Case{"500", Unit::steps, 500}, Case{"1e3", Unit::steps, 1000},
                          Case{"1000.0", Unit::steps, 1000}, Case{"5000t", Unit::tokens, 5000},
                          Case{"3Mt", Unit::tokens, 3e6}, Case{"10Gt", Unit::tokens, 1e10},
                          Case{"1.5kt", Unit::tokens, 1500}, Case{"2e9t", Unit::tokens, 2e9},
                          Case{"5e", Unit::epochs, 5}, Case{"0.5e", Unit::epochs, 0.5},
                          Case{"1e18f", Unit::flops, 1e18}, Case{"2Pf", Unit::flops, 2e15},
                          Case{" 3Ef ", Unit::flops, 3e18}, Case{"2Tt", Unit::tokens, 2e12}}) {
    const RunLength length = parse_run_length(one.text);
    EXPECT_EQ(length.unit, one.unit) << one.text;
    EXPECT_DOUBLE_EQ(length.count, one.count) << one.text;
  }
}

TEST(RunLength, MistakesAreNamed) {
  for (const char* text : {"", "t", "Gt", "e", "f", "10G", "10 Gtt", "1.5", "5epochs", "nan",
                           "inft", "10ke", "ten", "1e400f", "1e308Gf", "5 e5e"}) {
    const std::string message = error_of(ErrorKind::usage, [&] { parse_run_length(text); });
    EXPECT_TRUE(contains(message, "train.length = \"" + std::string(text) + "\": expected a whole"))
        << message;
  }
  for (const char* text : {"0", "0t", "0e", "-5", "-1e", "0f"}) {
    const std::string message = error_of(ErrorKind::usage, [&] { parse_run_length(text); });
    EXPECT_TRUE(contains(message, "expected more than 0")) << message;
  }
  Config config;
  config.train.length = "10Gb";
  const std::string message = error_of(ErrorKind::usage, [&] { config.validate(); });
  EXPECT_TRUE(contains(message, "train.length = \"10Gb\"")) << message;
}

TEST(RunLength, ComesToTheFewestStepsThatReachIt) {
  LengthUnits units;
  units.tokens_per_step = 2048;
  units.tokens_per_epoch = 1e6;
  units.flops_per_token = 1e9;
  EXPECT_EQ(steps_of("500", units), 500);
  EXPECT_EQ(steps_of("2048t", units), 1);
  EXPECT_EQ(steps_of("2049t", units), 2);
  EXPECT_EQ(steps_of("1t", units), 1);
  EXPECT_EQ(steps_of("20.48Mt", units), 10000);
  EXPECT_EQ(steps_of("1e", units), 489);  // 488.28
  EXPECT_EQ(steps_of("2.5e", units), 1221);
  EXPECT_EQ(steps_of("2048e10f", units), 10);
  const auto message = [&](const char* text) {
    return error_of(ErrorKind::usage, [&] { steps_of(text, units); });
  };
  EXPECT_TRUE(contains(message("1e30e"), "at most 2^50"));
  EXPECT_TRUE(contains(message("9e15"), "at most 2^50"));
  units.tokens_per_epoch = 0;
  EXPECT_TRUE(contains(message("3e"), "train.length = \"3e\": no step, as the data has no tokens"));
}

}  // namespace
}  // namespace mythos
