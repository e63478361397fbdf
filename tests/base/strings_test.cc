#include "base/strings.h"

#include <cmath>

#include "../scratch.h"

namespace mythos {
namespace {

TEST(Strings, SplitAndJoin) {
  EXPECT_EQ(split("a,b,,c", ','), (std::vector<std::string>{"a", "b", "", "c"}));
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join_or({}), "");
  EXPECT_EQ(join_or({"a"}), "a");
  EXPECT_EQ(join_or({"a", "b"}), "a or b");
  EXPECT_EQ(join_or({"a", "b", "c"}), "a, b or c");
}

TEST(Strings, Trim) {
  EXPECT_EQ(trim(" \t a b\n"), "a b");
  EXPECT_EQ(trim(" \n "), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Strings, NumbersAreWholeTexts) {
  EXPECT_EQ(parse_int("-12"), -12);
  EXPECT_EQ(parse_int("12 "), std::nullopt);
  EXPECT_EQ(parse_int("1e3"), std::nullopt);
  EXPECT_EQ(parse_int(""), std::nullopt);
  EXPECT_EQ(parse_int("99999999999999999999"), std::nullopt);
  EXPECT_EQ(parse_double("1e-3"), 1e-3);
  for (const char* bad : {"1.5x", "1e999", "", "0x10", " 1"}) {
    EXPECT_EQ(parse_double(bad), std::nullopt) << bad;
  }
}

TEST(Strings, IntLists) {
  EXPECT_EQ(parse_int_list("1,2, 4", "--loops"), (std::vector<int64_t>{1, 2, 4}));
  for (const char* bad : {"", "1,,2", "0", "-1", "a", "1.5"}) {
    EXPECT_TRUE(
        contains(error_of(ErrorKind::usage, [&] { parse_int_list(bad, "--loops"); }), "--loops: '"))
        << bad;
  }
}

TEST(Strings, SuggestsTypingErrorsOnly) {
  const std::vector<std::string> verbs = {"train", "tokenize", "eval"};
  EXPECT_EQ(nearest("trian", verbs), "train");
  EXPECT_EQ(nearest("tokenise", verbs), "tokenize");
  EXPECT_EQ(nearest("evl", verbs), "eval");
  EXPECT_EQ(nearest("deploy", verbs), std::nullopt);
  EXPECT_EQ(did_you_mean("trian", verbs), " Did you mean 'train'?");
  EXPECT_EQ(did_you_mean("deploy", verbs), "");
  EXPECT_EQ(nearest("x", {}), std::nullopt);
}

TEST(Strings, HumanUnits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(3.0 * (1LL << 40)), "3.0 TiB");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1064028034), "1.06 B");
  EXPECT_EQ(human_duration(1.25), "1.2s");
  EXPECT_EQ(human_duration(125), "2m05s");
  EXPECT_EQ(human_duration(3 * 3600 + 61), "3h01m");
  EXPECT_EQ(human_duration(NAN), "?");
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(999326352386), "999,326,352,386");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
  EXPECT_EQ(with_commas(-123), "-123");
  EXPECT_EQ(with_commas(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Strings, EscapedIsOneLine) {
  EXPECT_EQ(escaped("a\n\t\r\x01z"), "a\\n\\t\\r\\x01z");
  EXPECT_EQ(escaped("naïve"), "naïve");
  EXPECT_EQ(escaped("a\xff"
                    "b"),
            "a\\xffb");
  EXPECT_EQ(escaped("\xc0\xaf \xed\xa0\x80 \xe2\x82"), "\\xc0\\xaf \\xed\\xa0\\x80 \\xe2\\x82");
  EXPECT_EQ(escaped("\x7f\u0085\u009b31m\u202e\u2066\u061c\u2028"),
            "\\u007f\\u0085\\u009b31m\\u202e\\u2066\\u061c\\u2028");
  EXPECT_EQ(escaped("\u00a0\u2010\u202f😀"), "\u00a0\u2010\u202f😀");
  EXPECT_EQ(escaped(escaped("\x1b\n\xff")), "\\x1b\\n\\xff");
  EXPECT_EQ(shown(std::string(300, 'a')), std::string(300, 'a'));
  EXPECT_EQ(shown_lines("a\tb\n\x1b[1m\n"), "a\\tb\n\\x1b[1m\n");
  EXPECT_EQ(escaped("abcdef", 3), "abc...");
  EXPECT_EQ(escaped("aé€", 2), "aé...");
}

}  // namespace
}  // namespace mythos
