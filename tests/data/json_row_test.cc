#include "data/read/json_row.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "scratch.h"

namespace mythos {
namespace {

// The value at a path as text, or "(fault)".
std::string find(const std::string& text, const std::string& field) {
  JsonRow row({parse_json_path(field, "--field")});
  return row.scan(text) ? std::string(row.value(0)) : "(" + std::string(row.fault()) + ")";
}

std::string decoded(const std::string& literal) {
  std::string out;
  JsonRow row({});
  EXPECT_TRUE(row.scan(literal)) << literal << ": " << row.fault();
  JsonRow::decode_string(literal, out);
  return out;
}

TEST(JsonRow, FindsMembersAndPointers) {
  const std::string text =
      R"( {"a": 1, "b": {"c": [10, {"d": "x"}], "a": 2}, "a/b": 3, "~": 4, "": 5, "b.c": 6} )";
  EXPECT_EQ(find(text, "a"), "1");
  EXPECT_EQ(find(text, "/a"), "1");
  EXPECT_EQ(find(text, "/b/a"), "2");
  EXPECT_EQ(find(text, "/b/c/0"), "10");
  EXPECT_EQ(find(text, "/b/c/1/d"), "\"x\"");
  EXPECT_EQ(find(text, "/b/c/1"), "{\"d\": \"x\"}");
  EXPECT_EQ(find(text, "/a~1b"), "3");
  EXPECT_EQ(find(text, "a/b"), "3");
  EXPECT_EQ(find(text, "/~0"), "4");
  EXPECT_EQ(find(text, "/"), "5");
  EXPECT_EQ(find(text, ""), "5");
  EXPECT_EQ(find(text, "b.c"), "6");
  EXPECT_EQ(find("[3, 4]", "/1"), "4");
  for (const std::string missing : {"c", "/b/c/2", "/b/c/01", "/b/c/-", "/a/b", "/b/c/1/d/e"}) {
    EXPECT_EQ(find(text, missing), "") << missing;
  }
  for (const std::string bad : {"/a~", "/a~2"}) {
    EXPECT_TRUE(
        contains(error_of(ErrorKind::usage, [&] { parse_json_path(bad, "--field"); }), "--field"));
  }
}

TEST(JsonRow, FindsSeveralAtOnce) {
  JsonRow row({{"text"}, {"score"}, {"meta", "score"}, {"meta"}});
  ASSERT_TRUE(row.scan(R"({"score":1.5,"meta":{"score":-2e3},"text":"t"})"));
  EXPECT_EQ(row.value(0), "\"t\"");
  EXPECT_EQ(row.value(1), "1.5");
  EXPECT_EQ(row.value(2), "-2e3");
  EXPECT_EQ(row.value(3), "{\"score\":-2e3}");
  ASSERT_TRUE(row.scan(R"({"text":"u"})"));
  EXPECT_EQ(row.value(0), "\"u\"");
  EXPECT_EQ(row.value(1), "");
}

TEST(JsonRow, TheLastOfEqualNamesCounts) {
  EXPECT_EQ(find(R"({"a":1,"a":2})", "a"), "2");
  EXPECT_EQ(find(R"({"a":{"b":1},"a":{}})", "/a/b"), "");
  EXPECT_EQ(find(R"({"\u0061":1})", "a"), "1");
}

TEST(JsonRow, DecodesStrings) {
  EXPECT_EQ(decoded(R"("a\"\\\/\b\f\n\r\tz")"), "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(decoded(R"("\u0041\u00e9\u20AC\ud83D\uDE00")"), "Aé€😀");
  EXPECT_EQ(decoded(R"("x\u0000y")"), std::string("x\0y", 3));
  EXPECT_EQ(decoded("\"é€😀\x7f\""), "é€😀\x7f");
  EXPECT_EQ(decoded("\"\""), "");
}

// Each half without the other becomes U+FFFD, as where Python's result is encoded with 'replace'.
TEST(JsonRow, ReplacesLoneSurrogates) {
  const std::string mark = "\xEF\xBF\xBD";
  const std::vector<std::pair<std::string, std::string>> literals = {
      {R"("a\ud83d")", "a" + mark},      {R"("\udc00\ud800")", mark + mark},
      {R"("\ud800\u0041")", mark + "A"}, {R"("\uD800\uD83D\uDE00")", mark + "😀"},
      {R"("\ud800\n")", mark + "\n"},    {R"("\ud800\\udc00")", mark + "\\udc00"}};
  JsonRow row({{"text"}});
  std::string out;
  for (const auto& [literal, text] : literals) {
    const std::string whole = "{\"text\": " + literal + "}";
    ASSERT_TRUE(row.scan(whole)) << literal;
    EXPECT_TRUE(row.has_lone_surrogate()) << literal;
    EXPECT_GT(JsonRow::decode_string(row.value(0), out), 0u) << literal;
    EXPECT_EQ(out, text) << literal;
  }
  ASSERT_TRUE(row.scan(R"({"text": "\ud83d\ude00"})"));
  EXPECT_FALSE(row.has_lone_surrogate());
  EXPECT_EQ(JsonRow::decode_string(row.value(0), out), 0u);
  ASSERT_TRUE(row.scan(R"({"x\ud800": 1, "text": "a"})"));
  EXPECT_TRUE(row.has_lone_surrogate());
  EXPECT_EQ(row.value(0), "\"a\"");
  EXPECT_EQ(JsonRow::member_names(R"({"x\ud800": {"in": 1}, "text": NaN, "": [{"b": 2}]})"),
            (std::vector<std::string>{"x" + mark, "text", ""}));
  EXPECT_TRUE(JsonRow::member_names(R"([{"a": 1}])").empty());
}

// The values that Python's json module gives.
TEST(JsonRow, DecodesNumbersBeyondDouble) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(JsonRow::decode_number("1e999"), infinity);
  EXPECT_EQ(JsonRow::decode_number("-1e999"), -infinity);
  EXPECT_EQ(JsonRow::decode_number("1" + std::string(400, '0')), infinity);
  EXPECT_EQ(JsonRow::decode_number("1e-999"), 0);
  EXPECT_EQ(JsonRow::decode_number("-2.5e1"), -25);
  JsonRow row({{"a"}, {"b"}, {"c"}});
  ASSERT_TRUE(row.scan(R"({"a": NaN, "b": Infinity, "c": -Infinity})"));
  EXPECT_TRUE(std::isnan(JsonRow::decode_number(row.value(0))));
  EXPECT_EQ(JsonRow::decode_number(row.value(1)), infinity);
  EXPECT_EQ(JsonRow::decode_number(row.value(2)), -infinity);
  EXPECT_STREQ(JsonRow::type_name(row.value(0)), "number");
}

TEST(JsonRow, SaysWhatIsWrongAndWhere) {
  struct Bad {
    std::string text, fault;
    size_t column;
  };
  const std::vector<Bad> rows = {
      {"{\"a\": 1", "expected ',' or '}'", 8},
      {"{\"a\" 1}", "expected ':'", 6},
      {"{a: 1}", "expected a member's name in quotes", 2},
      {"{\"a\": 1,}", "expected a member's name in quotes", 9},
      {"[1 2]", "expected ',' or ']'", 4},
      {"[1,]", "expected a value", 4},
      {"{\"a\": tru}", "expected a value", 7},
      {"{\"a\": \"x", "the string does not end", 9},
      {"{\"a\": \"x\ty\"}", "a control character in a string", 9},
      {"{\"a\": \"12345678\xff\"}", "invalid UTF-8", 16},
      {"{\"a\": \"\xed\xa0\x80\"}", "invalid UTF-8", 8},
      {"{\"a\": \"\xc3", "invalid UTF-8", 8},
      {"{\"a\": \"\\x\"}", "an unknown escape", 8},
      {"{\"a\": \"\\u12g4\"}", "expected four hexadecimal digits after \\u", 8},
      {"{\"a\": \"\\ud800\\u12\"}", "expected four hexadecimal digits after \\u", 14},
      {"[Nan]", "expected a value", 2},
      {"[-NaN]", "expected a value", 2},
      {"[Infinite]", "expected a value", 2},
      {"[1.]", "expected a digit", 4},
      {"[1e]", "expected a digit", 4},
      {"[-]", "expected a value", 2},
      {"[01]", "expected ',' or ']'", 3},
      {"1 2", "text after the value", 3},
      {"", "expected a value", 1},
      {std::string("\0", 1), "expected a value", 1},
      {std::string(513, '[') + std::string(513, ']'), "nested too deeply", 513},
  };
  JsonRow row({{"a"}});
  for (const Bad& bad : rows) {
    EXPECT_FALSE(row.scan(bad.text)) << bad.text;
    EXPECT_STREQ(row.fault(), bad.fault.c_str()) << bad.text;
    EXPECT_EQ(row.fault_column(), bad.column) << bad.text;
  }
  EXPECT_TRUE(row.scan(std::string(512, '[') + std::string(512, ']')));
}

// Rows with a few bytes changed: the same are valid, and the same text is found, as by a general
// parser.
TEST(JsonRow, AgreesWithNlohmannOnDamagedRows) {
  const std::string whole =
      "{\"id\": 12, \"n\": [-0.5e+3, 0, 1E2, true, false, null, {}], \"text\": "
      "\"a\\\"b\\\\ \\ud83d\\ude00 é 😀 \\u00e9\\n end of a longer run\", \"o\": {\"text\": \"x\"}}";
  const std::string bytes =
      "{}[]\",:\\u0d8e+-.tfn \t\n\x01\x7f\x80\xc3\xed\xf0\xff"
      "1a";
  Rng rng(7);
  JsonRow row({{"text"}});
  int valid = 0, lone = 0;
  for (int i = 0; i < 30000; ++i) {
    std::string text = whole;
    for (uint64_t change = rng.below(3) + 1; change > 0; --change) {
      const size_t at = rng.below(text.size());
      const char byte = bytes[rng.below(bytes.size())];
      switch (rng.below(3)) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        default:
          text.erase(at, 1);
      }
    }
    const auto parsed = nlohmann::json::parse(text, nullptr, false);
    const bool scanned = row.scan(text);
    if (scanned && row.has_lone_surrogate()) {
      ASSERT_TRUE(parsed.is_discarded()) << text;
      ++lone;
      continue;
    }
    ASSERT_EQ(scanned, !parsed.is_discarded()) << text;
    if (parsed.is_discarded()) continue;
    ++valid;
    const bool found = parsed.is_object() && parsed.contains("text");
    ASSERT_EQ(row.value(0).empty(), !found) << text;
    if (!found || !parsed["text"].is_string()) continue;
    std::string decoded;
    JsonRow::decode_string(row.value(0), decoded);
    ASSERT_EQ(decoded, parsed["text"].get<std::string>()) << text;
  }
  EXPECT_GT(valid, 3000);
  EXPECT_GT(lone, 300);
}

}  // namespace
}  // namespace mythos
