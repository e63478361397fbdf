#include "text/split/splitter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/split/fast_splitter.h"

namespace mythos {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces(const Splitter& splitter, std::string_view text) {
  std::vector<size_t> ends;
  splitter.split(text, ends);
  Pieces result;
  size_t start = 0;
  for (size_t end : ends) {
    EXPECT_GT(end, start);
    result.emplace_back(text.substr(start, end - start));
    start = end;
  }
  EXPECT_EQ(start, text.size());
  return result;
}

// Spellings other than those that tiktoken publishes now.
constexpr std::string_view kGpt2Original =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Named {
  const char* name;
  std::string_view pattern;
};

class FastSplitter : public testing::TestWithParam<Named> {
 protected:
  void SetUp() override {
    fast_ = make_fast_splitter(GetParam().pattern);
    regex_ = make_regex_splitter(GetParam().pattern);
    ASSERT_TRUE(fast_) << "the pattern's spelling is not known";
  }
  // Stops at the first text that the two cut differently.
  void compare(std::string_view text) {
    fast_ends_.clear();
    regex_ends_.clear();
    fast_->split(text, fast_ends_);
    regex_->split(text, regex_ends_);
    ASSERT_EQ(fast_ends_, regex_ends_) << testing::PrintToString(std::string(text));
  }

  std::unique_ptr<Splitter> fast_, regex_;

 private:
  std::vector<size_t> fast_ends_, regex_ends_;
};

void PrintTo(const Named& named, std::ostream* out) {
  *out << named.name;
}
const Named kPatterns[] = {{"gpt2", kGpt2Pattern},     {"gpt2_original", kGpt2Original},
                           {"cl100k", kCl100kPattern}, {"llama3", kLlama3Pattern},
                           {"qwen2", kQwen2Pattern},   {"o200k", kO200kPattern},
                           {"tekken", kTekkenPattern}};
INSTANTIATE_TEST_SUITE_P(Patterns, FastSplitter, testing::ValuesIn(kPatterns),
                         [](const auto& info) { return info.param.name; });

std::string utf8(char32_t code) {
  const auto rest = [&](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), rest(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), rest(6), rest(0)};
  return {static_cast<char>(0xF0 | code >> 18), rest(12), rest(6), rest(0)};
}

// Every code point, those that PCRE2's version of Unicode lacks included.
TEST_P(FastSplitter, CutsAsTheRegexAroundEveryCodePoint) {
  std::string text;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code == 0xD800) code = 0xE000;
    const std::string c = utf8(code);
    text += "a" + c + "B1" + c + " c " + c + "! " + c + "\n" + c + "'s!" + c + "aA" + c + "'" + c;
    if (text.size() < 50'000 && code != 0x10FFFF) continue;
    ASSERT_NO_FATAL_FAILURE(compare(text)) << std::hex << static_cast<uint32_t>(code);
    text.clear();
  }
}

// What the patterns tell apart, and what often goes wrong.
const std::string_view kAlphabet[] = {
    " ",          "  ",         "\t",      "\n",         "\n\n",       "\r",         "\r\n",
    "\u00a0",     "\u0085",     "\u2028",  "\u3000",     "\u180e",     "\u200b",     "'",
    "'s",         "'S",         "'\u017f", "'ll",        "'LL",        "'Ve",        "'re",
    "'d",         "s",          "L",       "v",          "E",          "a",          "Z",
    "\u00df",     "\u017f",     "\u0130",  "\u01c5",     "\u02b0",     "\u00aa",     "\u4e2d",
    "\u0e01",     "\u212a",     "\u0301",  "\u0903",     "\u20dd",     "0",          "1",
    "29",         "\u0661",     "\u2167",  "\u00bd",     "!",          "/",          ".,",
    "-",          "_",          "(",       "\U0001f600", "\u200d",     "\ufe0f",     "\U0001f3fb",
    "\ue000",     "\U000f0000", "\u0378",  "\ua7da",     "\U00010d40", "\U0001e5ee", "\U000323af",
    "\U0001fae9", "\x1c",       "\x7f"};

TEST_P(FastSplitter, CutsAsTheRegexInRandomText) {
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return random() % n; };
  std::string text;
  for (int i = 0; i < 30'000; ++i) {
    // Few symbols at a time make the runs and backtracks that a mixture of all hardly ever has.
    std::string_view symbols[16];
    const size_t kinds = 2 + below(15);
    for (size_t k = 0; k < kinds; ++k) symbols[k] = kAlphabet[below(std::size(kAlphabet))];
    text.clear();
    for (size_t length = 1 + below(20); length > 0; --length) text += symbols[below(kinds)];
    ASSERT_NO_FATAL_FAILURE(compare(text)) << "text " << i;
  }
}

// A megabyte of what makes patterns backtrack. Quadratic work would take minutes.
TEST_P(FastSplitter, TakesLinearTimeAtWorst) {
  const auto repeat = [](std::string_view part) {
    std::string text;
    while (text.size() < 1'000'000) text += part;
    return text;
  };
  for (std::string_view part :
       {"a", "A", "\u00aa", "\u0301", " ", "\n", "\u00a0", "1", "!", "'", "/", " \n", "\n ", "\r\n",
        "'s", "\u0301A", "A\u00aa", "aA", "\u4e2d"}) {
    const std::string text = repeat(part);
    compare(text);
    compare("\u00aa" + text);
    compare("!\u0301" + text + "b");
    compare(text + "\n" + text + "1");
  }
}

struct Golden {
  std::string_view pattern, text;
  Pieces pieces;
};
// As PyPI tiktoken 0.14 cuts.
const Golden kGolden[] = {
    {kGpt2Pattern,
     "I'll don't SHE'S 12345 x=1;\n\n  end  ",
     {"I", "'ll", " don", "'t", " SHE", "'", "S", " 12345", " x", "=", "1", ";", "\n\n ", " end",
      "  "}},
    {kGpt2Pattern,
     "it'\u017f'S\u00a0a\t\tc \r\n \n d\n ",
     {"it", "'", "\u017f", "'", "S", "\u00a0", "a", "\t", "\t", "c", " \r\n \n", " d", "\n "}},
    {kCl100kPattern,
     "I'll don't SHE'S 12345 x=1;\n\n  end  ",
     {"I", "'ll", " don", "'t", " SHE", "'S", " ", "123", "45", " x", "=", "1", ";\n\n", " ",
      " end", "  "}},
    {kCl100kPattern,
     "it'\u017f'S\u00a0a\t\tc \r\n \n d\n ",
     {"it", "'\u017f", "'S", "\u00a0a", "\t", "\tc", " \r\n \n", " d", "\n "}},
    {kLlama3Pattern, "12345 d\n ", {"123", "45", " d", "\n", " "}},
    {kQwen2Pattern, "12345 d\n ", {"1", "2", "3", "4", "5", " d", "\n", " "}},
    {kO200kPattern,
     "I'll don't SHE'S 12345 x=1;\n\n  end  ",
     {"I'll", " don't", " SHE'S", " ", "123", "45", " x", "=", "1", ";\n\n", " ", " end", "  "}},
    {kO200kPattern,
     "it'\u017f'S\u00a0a\t\tc \r\n \n d\n ",
     {"it'\u017f", "'S", "\u00a0a", "\t", "\tc", " \r\n \n", " d", "\n", " "}},
    {kO200kPattern,
     "HTTPServer \u01c5ungla \u0301 \u0301AB e\u0301A\u0301\u00aaBC",
     {"HTTPServer", " \u01c5ungla", " \u0301", " \u0301", "AB", " e\u0301", "A\u0301\u00aa", "BC"}},
    {kO200kPattern,
     "\u4e2d\u6587abc\u0661\u0662\u0663\u0664 \U0001f44d\u200d\u00bd!\n/\n/a",
     {"\u4e2d\u6587abc", "\u0661\u0662\u0663", "\u0664", " \U0001f44d\u200d", "\u00bd", "!\n/\n/",
      "a"}},
    // Letters that are younger than PCRE2's Unicode, and what was a space once.
    {kO200kPattern,
     "\ua7da\U000323af\U00010d40\U0001fae9\u180ea  \u180e",
     {"\ua7da\U000323af", "\U00010d40", "\U0001fae9\u180e", "a", " ", " \u180e"}},
    {kTekkenPattern,
     "don't 12 A\u0301\u00aaBC",
     {"don", "'t", " ", "1", "2", " A\u0301\u00aa", "BC"}},
};

TEST(Splitter, CutsAsTheOriginals) {
  for (const Golden& golden : kGolden) {
    EXPECT_EQ(pieces(*make_splitter(golden.pattern), golden.text), golden.pieces) << golden.pattern;
    EXPECT_EQ(pieces(*make_regex_splitter(golden.pattern), golden.text), golden.pieces)
        << golden.pattern;
  }
}

TEST(Splitter, ReadsAPatternAsItsEngineDoes) {
  const auto cut = [](std::string_view pattern, std::string_view text, Dialect dialect) {
    return pieces(*make_splitter(pattern, dialect), text);
  };
  EXPECT_EQ(cut(R"(\s+$)", "a \nb ", Dialect::rust), (Pieces{"a \nb", " "}));
  EXPECT_EQ(cut(R"(\s+$)", "a \nb ", Dialect::oniguruma), (Pieces{"a", " ", "\nb", " "}));
  EXPECT_EQ(cut(kO200kPattern, "It's 1", Dialect::oniguruma), (Pieces{"It's", " ", "1"}));
  // BLOOM's: a set inside a set.
  EXPECT_EQ(cut(R"( ?[^(\s|[.,!?…])]+)", "a b(c!.", Dialect::oniguruma),
            (Pieces{"a", " b", "(", "c", "!."}));
  EXPECT_EQ(cut(R"([[:digit:]a[bc]])", "xa1b\u0661-", Dialect::rust),
            (Pieces{"x", "a", "1", "b", "\u0661", "-"}));
}

// Letters, marks, digits and "_"; circled letters and raised digits too, other symbols and numbers
// not.
TEST(Splitter, KnowsOnigurumasWords) {
  const auto cut = [](std::string_view pattern, std::string_view text) {
    return pieces(*make_splitter(pattern, Dialect::oniguruma), text);
  };
  const std::string_view text = "ab_1\u0301-\u24d0\u00b2\u2460 \u203f\u0661\u216b!";
  EXPECT_EQ(cut(R"(\w+)", text),
            (Pieces{"ab_1\u0301", "-", "\u24d0\u00b2", "\u2460 ", "\u203f\u0661\u216b", "!"}));
  EXPECT_EQ(cut(R"(\b)", text), cut(R"(\w+)", text));
  EXPECT_EQ(cut(R"(\W+)", text), cut(R"(\w+)", text));
  EXPECT_EQ(cut(R"([\w-]+)", text),
            (Pieces{"ab_1\u0301-\u24d0", "\u00b2\u2460 ", "\u203f\u0661\u216b", "!"}));
  EXPECT_EQ(cut(R"(\B)", "ab-- c"), (Pieces{"a", "b-", "-", " c"}));
  EXPECT_EQ(cut(R"(not\b|not)", "not nota"), (Pieces{"not", " ", "not", "a"}));
}

TEST(Splitter, RefusesWhatEnginesReadDifferently) {
  const auto message = [](std::string_view pattern, Dialect dialect) -> std::string {
    try {
      make_splitter(pattern, dialect);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::data);
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(
      message(R"([\p{L}&&[^a]])", Dialect::rust),
      "cannot use the split pattern \"[\\p{L}&&[^a]]\"\nbyte 6: \"&&\" does not mean the same to "
      "every engine and is not supported here");
  for (std::string_view pattern :
       {R"(\w+)", R"([a\h])", "[a[^b]]", "[+-[a]]", "[a[b-]-z]", "[a--b]"}) {
    EXPECT_NE(message(pattern, Dialect::rust), "accepted") << pattern;
  }
  for (std::string_view pattern : {std::string_view("(?m:.)"), kCl100kPattern,
                                   std::string_view(R"([\W])"), std::string_view(R"([\b])")}) {
    EXPECT_NE(message(pattern, Dialect::oniguruma), "accepted") << pattern;
  }
}

TEST(RegexSplitter, IsolatesWhatLiesBetweenMatches) {
  const auto digits = make_regex_splitter("[0-9]");
  EXPECT_EQ(pieces(*digits, "ab12c"), (Pieces{"ab", "1", "2", "c"}));
  EXPECT_EQ(pieces(*digits, ""), Pieces{});
  EXPECT_EQ(pieces(*digits, "ä"), Pieces{"ä"});
}

TEST(RegexSplitter, CutsButMakesNoPieceAtAnEmptyMatch) {
  EXPECT_EQ(pieces(*make_regex_splitter("x*"), "äxxb"), (Pieces{"ä", "xx", "b"}));
  EXPECT_EQ(pieces(*make_regex_splitter("(?=ß)|$"), "aßb"), (Pieces{"a", "ßb"}));
}

TEST(RegexSplitter, RefusesABadPatternTellingWhere) {
  try {
    make_regex_splitter("ab(c");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::data);
    EXPECT_EQ(std::string(e.what()),
              "cannot use the split pattern \"ab(c\"\nbyte 4: missing closing parenthesis");
  }
}

TEST(RegexSplitter, GivesUpOnRunawayBacktracking) {
  const auto splitter = make_regex_splitter("(?:a|a|a)+[bc]");
  try {
    std::vector<size_t> ends;
    splitter->split(std::string(60, 'a'), ends);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::resources);
    EXPECT_NE(std::string(e.what()).find("match limit exceeded"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace mythos
