#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace mythos {
namespace {

TEST(Utf8, TellsValidInvalidAndUnfinished) {
  EXPECT_EQ(utf8_sequence("a"), 1);
  EXPECT_EQ(utf8_sequence(std::string_view("\0", 1)), 1);
  EXPECT_EQ(utf8_sequence("é"), 2);
  EXPECT_EQ(utf8_sequence("▁x"), 3);
  EXPECT_EQ(utf8_sequence("🙂"), 4);
  EXPECT_EQ(utf8_sequence("\xF4\x8F\xBF\xBF"), 4) << "U+10FFFF";
  EXPECT_EQ(utf8_sequence("\x80"), 0) << "continuation first";
  EXPECT_EQ(utf8_sequence("\xC0\xAF"), 0) << "overlong";
  EXPECT_EQ(utf8_sequence("\xE0\x9F\xBF"), 0) << "overlong";
  EXPECT_EQ(utf8_sequence("\xED\xA0\x80"), 0) << "surrogate";
  EXPECT_EQ(utf8_sequence("\xF4\x90\x80\x80"), 0) << "beyond U+10FFFF";
  EXPECT_EQ(utf8_sequence("\xE2\x41"), 0);
  EXPECT_EQ(utf8_sequence(""), -1);
  EXPECT_EQ(utf8_sequence("\xE2"), -1);
  EXPECT_EQ(utf8_sequence("\xF0\x9F\x99"), -1);
  EXPECT_EQ(utf8_sequence("\xF0\x80"), 0) << "can never become valid";
}

TEST(Utf8, CodePoints) {
  EXPECT_EQ(utf8_code_point("a", 1), U'a');
  EXPECT_EQ(utf8_code_point("é", 2), U'é');
  EXPECT_EQ(utf8_code_point("▁", 3), U'\u2581');
  EXPECT_EQ(utf8_code_point("🙂", 4), U'🙂');
}

}  // namespace
}  // namespace mythos
