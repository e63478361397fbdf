#include "infer/sampling/stop_filter.h"

#include <gtest/gtest.h>

namespace mythos {
namespace {

// What is shown after each piece, then at the end.
std::vector<std::string> shown(StopFilter& filter, const std::vector<std::string>& pieces) {
  std::vector<std::string> out;
  for (const std::string& piece : pieces) out.push_back(filter.push(piece));
  out.push_back(filter.finish());
  return out;
}

using Strings = std::vector<std::string>;

TEST(StopFilter, WithoutStopsPassesEverythingAtOnce) {
  StopFilter filter({});
  EXPECT_EQ(shown(filter, {"a", "", "bc"}), (Strings{"a", "", "bc", ""}));
  EXPECT_FALSE(filter.stopped());
}

TEST(StopFilter, CutsAtTheStopWithinOnePiece) {
  StopFilter filter({"END"});
  EXPECT_EQ(shown(filter, {"one END two"}), (Strings{"one ", ""}));
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.matched(), "END");
}

TEST(StopFilter, FindsAStopSpreadOverPiecesAndShowsNoneOfIt) {
  StopFilter filter({"\nUser:"});
  EXPECT_EQ(shown(filter, {"hi", "\nUs", "er", ": more"}), (Strings{"hi", "", "", "", ""}));
  EXPECT_TRUE(filter.stopped());
}

TEST(StopFilter, ReleasesWhatTurnsOutNotToBeAStop) {
  StopFilter filter({"abc"});
  EXPECT_EQ(shown(filter, {"xa", "b", "d", "ab"}), (Strings{"x", "", "abd", "", "ab"}));
  EXPECT_FALSE(filter.stopped());
}

TEST(StopFilter, HoldsTheRightPartOfARepetitiveBeginning) {
  StopFilter filter({"aab"});
  EXPECT_EQ(shown(filter, {"aaa", "b"}), (Strings{"a", "", ""}));
  EXPECT_TRUE(filter.stopped());
}

TEST(StopFilter, TheEarliestOfSeveralWins) {
  StopFilter filter({"two", "one"});
  EXPECT_EQ(shown(filter, {"zero one two"}), (Strings{"zero ", ""}));
  EXPECT_EQ(filter.matched(), "one");
}

TEST(StopFilter, NothingIsShownAfterAStop) {
  StopFilter filter({"."});
  EXPECT_EQ(shown(filter, {"a.b", "c"}), (Strings{"a", "", ""}));
}

TEST(StopFilter, EmptyStopsAreIgnored) {
  StopFilter filter({""});
  EXPECT_EQ(shown(filter, {"abc"}), (Strings{"abc", ""}));
}

}  // namespace
}  // namespace mythos
