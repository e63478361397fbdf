#include "text/splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"

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
