#include "base/glob.h"

#include <gtest/gtest.h>

namespace mythos {
namespace {

TEST(MatchesGlob, TakesTheWholeText) {
  EXPECT_TRUE(matches_glob("", ""));
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("core.0.attn.wo.weight", "core.0.attn.wo.weight"));
  EXPECT_TRUE(matches_glob("core.*", "core.0.attn.wo.weight"));
  EXPECT_TRUE(matches_glob("*.wo.*", "core.0.attn.wo.weight"));
  EXPECT_TRUE(matches_glob("core.?.*wo*", "core.0.attn.wo.weight"));
  EXPECT_TRUE(matches_glob("*aab", "aaaab"));  // the first try ends too early
  EXPECT_FALSE(matches_glob("core", "core.0"));
  EXPECT_FALSE(matches_glob("core.?", "core.10"));
  EXPECT_FALSE(matches_glob("*.wo", "core.0.attn.wo.weight"));
  EXPECT_FALSE(matches_glob("?", ""));
}

}  // namespace
}  // namespace mythos
