#include "train/metrics.h"

#include <cmath>
#include <numeric>

#include "../scratch.h"

namespace mythos {
namespace {

TEST(MetricsFile, KeepsTheLinesUpToTheResumedStep) {
  const Scratch scratch;
  const fs::path path = scratch / "metrics.jsonl";
  write_file_atomic(
      path,
      "{\"step\":10,\"loss\":3}\n{\"step\":20,\"loss\":2}\n{\"step\":20,\"val_loss\":2}\n"
      "{\"step\":30,\"val_loss\":1}\n{\"step\":3");
  {
    MetricsFile metrics(path, 20);
    EXPECT_EQ(metrics.last_validation(), nlohmann::json({{"step", 20}, {"val_loss", 2}}));
    metrics.append({{"step", 25}});
  }
  EXPECT_EQ(read_file(path),
            "{\"step\":10,\"loss\":3}\n{\"step\":20,\"loss\":2}\n{\"step\":20,\"val_loss\":2}\n"
            "{\"step\":25}\n");
}

TEST(MetricsFile, CopiesLinesToTensorBoardAndPrometheus) {
  const Scratch scratch;
  fs::create_directory(scratch / "run");
  MetricsFile metrics(scratch / "run" / "metrics.jsonl", 0, {true, true});
  metrics.append({{"step", 10}, {"loss", 2.5}});
  metrics.append({{"step", 10}, {"val_loss", 3}});
  metrics.append({{"step", 20}, {"loss", 2}});
  EXPECT_EQ(read_file(scratch / "run" / "metrics.prom"),
            "# TYPE mythos_step gauge\nmythos_step{run=\"run\"} 20\n"
            "# TYPE mythos_loss gauge\nmythos_loss{run=\"run\"} 2\n"
            "# TYPE mythos_val_loss gauge\nmythos_val_loss{run=\"run\"} 3\n");
  const auto event_files = fs::directory_iterator(scratch / "run" / "tensorboard");
  const std::string events = read_file(event_files->path());
  EXPECT_NE(events.find("loss"), std::string::npos);
  EXPECT_NE(events.find("val_loss"), std::string::npos);
}

TEST(MetricsFile, BeginsEmptyAtStepZero) {
  const Scratch scratch;
  const fs::path path = scratch / "metrics.jsonl";
  write_file_atomic(path, "{\"step\":10}\n");
  const MetricsFile metrics(path, 0);
  EXPECT_TRUE(metrics.last_validation().is_null());
  EXPECT_EQ(read_file(path), "");
}

TEST(Interval, SurvivesACheckpoint) {
  const Interval interval{3, 1024, 2000, 21, 1234.567890123456789, 0.1 + 0.2, 2048, 2, 24, 40};
  const Interval back = interval_from_json(nlohmann::json::parse(to_json(interval).dump()));
  EXPECT_EQ(back.nats, interval.nats);
  EXPECT_EQ(back.grad_norm, interval.grad_norm);
  EXPECT_EQ(back.targets, 1024);
  EXPECT_EQ(back.loops, 21);
  EXPECT_EQ(back.padding(), 0.5);
  EXPECT_EQ(back.skipped, 2);
  // Means are of what was counted.
  EXPECT_EQ(back.loss(), interval.nats / 1000);
  EXPECT_NEAR(back.bits_per_byte(), interval.nats / std::log(2) / 1960, 1e-12);
  EXPECT_EQ(back.mean_grad_norm(), interval.grad_norm);
  nlohmann::json old = to_json(interval);
  old.erase("places");
  for (const char* key : {"skipped", "lost_targets", "lost_bytes"}) old.erase(key);
  EXPECT_EQ(interval_from_json(old).padding(), 0);
  EXPECT_EQ(interval_from_json(old).skipped, 0);
}

TEST(Interval, ColumnsAreTakenAndGiven) {
  const Interval::Columns columns = {{"next_token", "balance"}, 3, 2, 4};
  std::vector<double> sums(static_cast<size_t>(columns.count()));
  ASSERT_EQ(sums.size(), 2U + 3 + 1 + 8);
  std::iota(sums.begin(), sums.end(), 1.0);
  Interval interval{3, 1024, 2000, 21, 1, 1, 2048};
  interval.put_columns(columns, sums);
  EXPECT_EQ(interval.terms[1], (std::pair<std::string, double>{"balance", 2}));
  EXPECT_EQ(interval.depth, (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(interval.depth_run, 6);
  EXPECT_EQ(interval.expert_load,
            (std::vector<std::vector<double>>{{7, 8, 9, 10}, {11, 12, 13, 14}}));
  EXPECT_EQ(interval.columns(columns), sums);
  const Interval back = interval_from_json(nlohmann::json::parse(to_json(interval).dump()));
  EXPECT_EQ(back.columns({{"balance"}, 3, 2, 4}).front(), 2) << "terms go by name";
  EXPECT_EQ(back.expert_load, interval.expert_load);
  EXPECT_EQ(back.depth_run, 6);
  // An interval of an older checkpoint has none of them.
  EXPECT_EQ(Interval().columns(columns), std::vector<double>(sums.size()));
}

TEST(Interval, TellsWhatHaltingSavesAndHowEvenExpertsAre) {
  Interval interval;
  interval.depth = {10, 0, 30};
  interval.depth_run = 160;  // 40 positions of 4 loops
  EXPECT_DOUBLE_EQ(interval.halting_saves(), 1 - (10.0 + 3 * 30) / 160);
  interval.expert_load = {{5, 5, 5, 5}, {8, 0, 8, 0}, {1, 0, 0, 0}, {6, 2, 0, 0}};
  const std::vector<double> most = interval.most_loaded(), entropy = interval.load_entropy();
  const double uneven = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25)) / std::log(4);
  const std::vector<double> expected_most = {1, 2, 4, 3}, expected_entropy = {1, 0.5, 0, uneven};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(most[i], expected_most[i]);
    EXPECT_DOUBLE_EQ(entropy[i], expected_entropy[i]);
  }
  interval.expert_load = {{0, 0}};
  EXPECT_TRUE(std::isnan(interval.most_loaded()[0]) && std::isnan(interval.load_entropy()[0]));
  interval.expert_load = {{7}};
  EXPECT_EQ(interval.load_entropy()[0], 1) << "a single expert";
}

TEST(StepMetrics, AreShownAsOneLine) {
  StepMetrics metrics;
  metrics.step = 120;
  metrics.steps = 1000;
  metrics.interval = {10, 1000, 2500, 79, 3210, 8};
  metrics.lr = 3e-3;
  metrics.tokens_per_second = 4100;
  metrics.seconds_left = 185;
  EXPECT_EQ(progress_line(metrics),
            "step 120/1000  loss 3.210  bpb 1.852  |g| 0.80  lr 3.0e-03  loops 7.9  4.10K tok/s  "
            "ETA 3m05s");
  metrics.data_wait = 0.123;
  EXPECT_TRUE(contains(progress_line(metrics), "4.10K tok/s  data wait 12%  ETA 3m05s"));
  metrics.interval.skipped = 3;
  EXPECT_TRUE(contains(progress_line(metrics), "data wait 12%  3 skipped  ETA 3m05s"));
  metrics.interval.skipped = metrics.interval.steps;
  metrics.interval.grad_norm = 0;
  EXPECT_TRUE(contains(progress_line(metrics), "|g| -  lr"));
  metrics.interval.skipped = 0;
}

TEST(StepMetrics, TellOfTheLossScaleAndOfSkippedStepsWhereThereAreAny) {
  StepMetrics metrics;
  EXPECT_FALSE(to_json(metrics).contains("loss_scale"));
  EXPECT_FALSE(to_json(metrics).contains("skipped_steps"));
  metrics.loss_scale = 4096;
  metrics.skipped_steps = 7;
  EXPECT_EQ(to_json(metrics).at("loss_scale"), 4096);
  EXPECT_EQ(to_json(metrics).at("skipped_steps"), 7);
  for (const char* key : {"mfu", "experts", "halting_saves"}) {
    EXPECT_FALSE(to_json(metrics).contains(key)) << key;
  }
  metrics.mfu = 0.25;
  EXPECT_EQ(to_json(metrics).at("mfu"), 0.25);
}

}  // namespace
}  // namespace mythos
