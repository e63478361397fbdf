#include "base/progress.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace mythos {
namespace {

class ProgressTest : public testing::Test {
 protected:
  void TearDown() override { set_log_level(LogLevel::info); }
};

// With no interval every update is due; standard error is no terminal here.
TEST_F(ProgressTest, TellsShareRateAndWhatIsLeft) {
  testing::internal::CaptureStderr();
  {
    Progress progress("Reading", 2000, "documents", 0);
    progress.update(1000, "3 files");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("Reading 1.00 K of 2.00 K (50%) documents, ")) << text;
  EXPECT_NE(text.find("/s, "), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with(" left, 3 files\n")) << text;
}

TEST_F(ProgressTest, UnknownEndHasNoShare) {
  testing::internal::CaptureStderr();
  {
    Progress progress("Reading", 0, "bytes", 0);
    progress.update(2048);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("Reading 2.0 KiB, ")) << text;
  EXPECT_EQ(text.find('%'), std::string::npos) << text;
}

TEST_F(ProgressTest, IsSilentBetweenIntervalsAndWhenQuiet) {
  testing::internal::CaptureStderr();
  {
    Progress slow("Reading", 10, "documents", 3600);
    slow.update(1);
    set_log_level(LogLevel::warning);
    Progress quiet("Reading", 10, "documents", 0);
    quiet.update(1);
    quiet.line("anything", true);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace mythos
