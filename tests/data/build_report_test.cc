#include "data/build/build_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "scratch.h"

namespace mythos {
namespace {

BuildReport report() {
  BuildReport report;
  report.directory = "out";
  report.options.jobs = 3;
  report.seconds = 2;
  ShardManifest& manifest = report.summary.manifest;
  manifest.dtype = "u16";
  manifest.train.documents = 90;
  manifest.train.tokens = 900;
  manifest.train.text_bytes = 3500;
  manifest.val.documents = 10;
  manifest.val.tokens = 100;
  manifest.val.text_bytes = 500;
  report.summary.added = {40, 400, 1600};
  report.summary.resumed = {5, 50, 200};
  report.summary.empty_documents = 2;
  report.summary.text_bytes_here = 4096;
  report.input.duplicates = 7;
  return report;
}

std::string log_of(const BuildReport& report) {
  testing::internal::CaptureStderr();
  log_build(report);
  return testing::internal::GetCapturedStderr();
}

TEST(BuildReport, JsonAddsUpTheSplits) {
  const nlohmann::ordered_json json = to_json(report());
  EXPECT_EQ(json["schema"], "mythos.tokenize/1");
  EXPECT_EQ(json["directory"], "out");
  EXPECT_EQ(json["documents"], 100);
  EXPECT_EQ(json["tokens"], 1000);
  EXPECT_EQ(json["text_bytes"], 4000);
  EXPECT_EQ(json["bytes_per_token"], 4.0);
  EXPECT_EQ(json["empty_documents"], 2);
  EXPECT_EQ(json["duplicates"], 7);
  EXPECT_EQ(json["added"].dump(), R"({"documents":40,"tokens":400,"text_bytes":1600})");
  EXPECT_EQ(json["resumed"]["documents"], 5);
  EXPECT_EQ(json["jobs"], 3);
  EXPECT_EQ(json["seconds"], 2.0);
}

TEST(BuildReport, TheLogTellsBothSplitsAndTheSpeed) {
  const std::string log = log_of(report());
  EXPECT_TRUE(contains(log,
                       "out: train 900 tokens in 90 documents, val 100 tokens in 10 documents; u16 "
                       "without BOS and with EOS; 4.00 bytes per token, 2.0s, 2.0 KiB/s"))
      << log;
  EXPECT_FALSE(contains(log, "added")) << log;
}

TEST(BuildReport, AddedDocumentsAreTold) {
  BuildReport appended = report();
  appended.options.append = true;
  EXPECT_TRUE(contains(log_of(appended), "added 400 tokens in 40 documents"));
}

TEST(BuildReport, AnEmptyValidationIsAWarningOnlyWhereItWasAskedFor) {
  BuildReport empty = report();
  empty.summary.manifest.val = {};
  EXPECT_TRUE(contains(log_of(empty), "too short to be parted"));
  empty.options.append = true;
  EXPECT_TRUE(contains(log_of(empty), "none of the 90 documents is for validation"));
  empty.options.val_fraction = 0;
  EXPECT_FALSE(contains(log_of(empty), "validation"));
}

}  // namespace
}  // namespace mythos
