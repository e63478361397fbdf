#include "infer/terminal/prompt_history.h"

#include <sys/stat.h>

#include <cstdlib>

#include "../scratch.h"
#include "base/strings.h"

namespace mythos {
namespace {

using Lines = std::vector<std::string>;

TEST(PromptHistory, KeepsLinesForTheirOwnerAlone) {
  const Scratch scratch;
  const fs::path file = scratch / "state/mythos/history";
  const PromptHistory history(file);
  EXPECT_EQ(history.load(), Lines{});
  history.add("the sea");
  PromptHistory(file).add("ein Märchen, 昔々");
  history.add("");
  EXPECT_EQ(history.load(), (Lines{"the sea", "ein Märchen, 昔々"}));
  EXPECT_EQ(read_file(file), "the sea\nein Märchen, 昔々\n");
  struct stat status;
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(PromptHistory, GivesTheNewestLines) {
  const Scratch scratch;
  const PromptHistory history(scratch / "history");
  for (int i = 0; i < 1100; ++i) history.add(std::to_string(i));
  const Lines lines = history.load();
  ASSERT_EQ(lines.size(), PromptHistory::kMostLines);
  EXPECT_EQ(lines.front(), "100");
  EXPECT_EQ(lines.back(), "1099");
}

TEST(PromptHistory, CutsAFileThatHasGrown) {
  const Scratch scratch;
  const fs::path file = scratch / "history";
  const PromptHistory history(file);
  for (int i = 0; i < 60; ++i) history.add(std::string(20'000, 'x') + std::to_string(i));
  ASSERT_GT(fs::file_size(file), PromptHistory::kMostBytes);
  const Lines lines = history.load();
  EXPECT_EQ(lines.size(), 26u);  // that half of kMostBytes holds
  EXPECT_TRUE(lines.back().ends_with("x59"));
  EXPECT_TRUE(lines.front().starts_with("xxx"));
  EXPECT_EQ(read_file(file), join(lines, "\n") + "\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), {}), 1);
  history.add(std::string(PromptHistory::kMostBytes, 'y'));
  EXPECT_EQ(history.load().size(), 26u);
}

TEST(PromptHistory, WhatIsNoFileIsPassedOver) {
  const Scratch scratch;
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0600), 0);
  for (const fs::path& file : {scratch / "pipe", scratch.path(), fs::path("/proc/none/history")}) {
    const PromptHistory history(file);
    history.add("line");
    EXPECT_EQ(history.load(), Lines{}) << file;
  }
}

TEST(PromptHistory, LiesInTheStateFolder) {
  setenv("HOME", "/home/someone", 1);
  unsetenv("XDG_STATE_HOME");
  EXPECT_EQ(history_file(), "/home/someone/.local/state/mythos/history");
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(history_file(), "/state/mythos/history");
  setenv("XDG_STATE_HOME", "relative", 1);
  EXPECT_EQ(history_file(), "/home/someone/.local/state/mythos/history");
  unsetenv("HOME");
  EXPECT_EQ(history_file(), std::nullopt);
}

}  // namespace
}  // namespace mythos
