// Runs with train.skip_steps, train.rollbacks, train.freeze and train.tune_rank.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "../device.h"
#include "../scratch.h"
#include "../small_data.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "tiny_run.h"
#include "train/trainer.h"

namespace mythos {
namespace {

// A checkpoint behind each step.
Config saving_run() {
  Config config = tiny_run();
  config.train.save_every = 1;
  return config;
}

using Hook = std::function<void(int64_t, const Parameters&)>;

// Puts what is not a number into a gradient of these steps, which are counted from 0.
Hook nan_at(const std::set<int64_t>& steps) {
  return [steps](int64_t step, const Parameters& parameters) {
    if (steps.count(step) == 0) return;
    const at::NoGradGuard no_grad;
    parameters.at("norm.weight").grad()[0] = std::numeric_limits<float>::quiet_NaN();
  };
}

class GuardedRun : public DeviceTest {
 protected:
  GuardedRun() {
    if (GetParam() != "cpu") use_deterministic_operators();
    at::set_num_threads(1);
    set_log_level(LogLevel::error);
    write_small_shards(scratch_ / "shards", 40);
  }
  TrainOptions options(const std::string& run, std::vector<std::string> assignments) const {
    TrainOptions options;
    options.config = saving_run();
    options.data = {{scratch_ / "shards", std::nullopt}};
    options.run = scratch_ / run;
    options.device = GetParam();
    options.assignments = std::move(assignments);
    return options;
  }
  std::string file(const std::string& run, int64_t step, const std::string& name) const {
    return read_file(scratch_ / run / strprintf("step-%06d", step) / name);
  }
  nlohmann::json state(const std::string& run, int64_t step) const {
    return nlohmann::json::parse(file(run, step, "state.json"));
  }
  bool kept(const std::string& run, int64_t step) const {
    return fs::exists(scratch_ / run / strprintf("step-%06d", step));
  }
  std::vector<nlohmann::json> lines(const std::string& run) const {
    return untimed_lines(scratch_ / run / "metrics.jsonl");
  }
  // Copies a run as it was when `step` had been saved, resumes it, and expects the same run.
  void expect_resumed_alike(const TrainOptions& whole, int64_t step, int64_t last) const {
    const std::string run = whole.run.filename().string(), cut = run + std::to_string(step);
    fs::copy(whole.run, scratch_ / cut,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (int64_t later = step + 1; later <= last; ++later) {
      fs::remove_all(scratch_ / cut / strprintf("step-%06d", later));
    }
    fs::remove(scratch_ / cut / "latest");
    TrainOptions options = whole;
    options.run = scratch_ / cut;
    options.resume = true;
    options.init_from.clear();
    options.config.reset();
    EXPECT_EQ(train(options).first_step, step);
    for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
      EXPECT_TRUE(file(run, last, name) == file(cut, last, name)) << name;
    }
    EXPECT_EQ(lines(run), lines(cut));
    nlohmann::json a = state(run, last), b = state(cut, last);
    a.erase("seconds"), b.erase("seconds");
    EXPECT_EQ(a, b);
  }
  Scratch scratch_;
};

TEST_P(GuardedRun, AGradientThatIsNotANumberIsSkippedAndCounted) {
  TrainOptions options = this->options("run", {"train.skip_steps=2"});
  options.after_backward = nan_at({5, 7});
  const TrainResult result = train(options);
  EXPECT_EQ(result.step, 12);
  EXPECT_EQ(result.skipped_steps, 2);
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_TRUE(file("run", 5, name) == file("run", 6, name)) << name;
    EXPECT_FALSE(file("run", 6, name) == file("run", 7, name)) << name;
  }
  EXPECT_NE(state("run", 5).at("cursor"), state("run", 6).at("cursor"));  // the batch is used up
  EXPECT_EQ(state("run", 5).at("healthy"), true);
  EXPECT_EQ(state("run", 6).at("healthy"), false);
  EXPECT_EQ(state("run", 7).at("healthy"), true);
  const auto lines = this->lines("run");
  std::vector<int64_t> skipped;
  for (const auto& line : lines) {
    if (!line.contains("grad_norm")) continue;
    EXPECT_TRUE(line.at("grad_norm").is_number()) << line;
    skipped.push_back(line.at("skipped_steps"));
  }
  EXPECT_EQ(skipped, (std::vector<int64_t>{0, 2, 2}));
}

TEST_P(GuardedRun, WithoutTheGuardItEndsTheRun) {
  TrainOptions options = this->options("run", {"train.log_every=1"});
  options.after_backward = nan_at({5});
  const std::string message = error_of(ErrorKind::diverged, [&] { train(options); });
  EXPECT_TRUE(contains(message, "the gradient norm is not finite at step 6 ")) << message;
}

TEST_P(GuardedRun, TooManyInARowEndItAndTheHealthyCheckpointStays) {
  TrainOptions options = this->options(
      "run", {"train.skip_steps=2", "train.keep_last=1", "train.val_every=0", "train.log_every=3"});
  options.after_backward = nan_at({7, 8, 9});
  const std::string message = error_of(ErrorKind::diverged, [&] { train(options); });
  EXPECT_TRUE(contains(message, "3 steps in a row up to step 10 were skipped")) << message;
  EXPECT_TRUE(contains(message, "the gradient norm is not finite")) << message;
  const std::string healthy = (options.run / "step-000007").string();
  EXPECT_TRUE(contains(message, "The last healthy checkpoint is " + healthy + ";")) << message;
  EXPECT_TRUE(kept("run", 7));
  EXPECT_TRUE(kept("run", 9));
  EXPECT_FALSE(kept("run", 8));
  EXPECT_FALSE(kept("run", 10));
  EXPECT_EQ(healthy_checkpoints(options.run).front(), options.run / "step-000007");
}

TEST_P(GuardedRun, ReturnsToTheHealthyCheckpointAtALowerRate) {
  TrainOptions options = this->options(
      "run", {"train.skip_steps=2", "train.rollbacks=1", "train.rollback_lr_factor=0.25",
              "train.schedule=constant", "train.log_every=1"});
  options.after_backward = nan_at({7, 8, 9});
  const TrainResult result = train(options);
  EXPECT_EQ(result.step, 12);
  EXPECT_EQ(result.rollbacks, 1);
  EXPECT_EQ(result.skipped_steps, 3);
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_TRUE(file("run", 7, name) == file("run", 10, name)) << name;
    EXPECT_FALSE(file("run", 10, name) == file("run", 11, name)) << name;
  }
  EXPECT_EQ(state("run", 12).at("guard").at("rate_factor"), 0.25);
  std::vector<double> rates;
  for (const auto& line : lines("run")) {
    if (line.contains("lr")) rates.push_back(line.at("lr"));
    if (!line.contains("checkpoint")) continue;
    EXPECT_EQ(line.at("checkpoint"), "step-000007");
    EXPECT_EQ(line.at("step"), 10);
  }
  ASSERT_EQ(rates.size(), 12U);
  EXPECT_DOUBLE_EQ(rates[10], rates[9] / 4);

  options.run = scratch_ / "again";
  options.assignments.push_back("train.steps=16");
  options.after_backward = nan_at({7, 8, 9, 11, 12, 13});
  const std::string message = error_of(ErrorKind::diverged, [&] { train(options); });
  EXPECT_TRUE(contains(message, "up to step 14 were skipped")) << message;
  EXPECT_TRUE(contains(message, "step-000011;")) << message;
}

TEST_P(GuardedRun, WithoutACheckpointThereIsNoReturn) {
  TrainOptions options =
      this->options("run", {"train.skip_steps=1", "train.rollbacks=1", "train.save_every=0"});
  options.after_backward = nan_at({2, 3});
  const std::string message = error_of(ErrorKind::diverged, [&] { train(options); });
  EXPECT_TRUE(contains(message, "There is no healthy checkpoint to go back to")) << message;
}

TEST_P(GuardedRun, AResumedRunEqualsAnUninterruptedOneBitForBit) {
  TrainOptions options =
      this->options("run", {"train.skip_steps=2", "train.rollbacks=1", "train.skip_deviations=8"});
  options.after_backward = nan_at({4, 7, 8, 9});
  train(options);
  expect_resumed_alike(options, 5, 12);   // behind a step that was skipped
  expect_resumed_alike(options, 9, 12);   // two have been skipped, and the return is to come
  expect_resumed_alike(options, 11, 12);  // behind the return
}

TEST_P(GuardedRun, AGradientFarAboveTheMeanIsSkipped) {
  TrainOptions options = this->options("run", {"train.skip_steps=1", "train.skip_deviations=20",
                                               "train.steps=30", "train.save_every=0"});
  options.after_backward = [](int64_t step, const Parameters& parameters) {
    if (step != 25) return;
    const at::NoGradGuard no_grad;
    parameters.at("norm.weight").grad().fill_(1e4);
  };
  EXPECT_EQ(train(options).skipped_steps, 1);
  options.run = scratch_ / "unjudged";
  options.assignments.push_back("train.skip_deviations=0");
  EXPECT_EQ(train(options).skipped_steps, 0);
}

// Gradients that overflow in fp16 are the loss scale's, not the guard's.
TEST_P(GuardedRun, LeavesOverflowsInFp16ToTheLossScale) {
  TrainOptions options =
      this->options("run", {"train.skip_steps=1", "train.compute_type=fp16", "train.loss_scale=1e9",
                            "train.loss_scale_backoff=0.1"});
  const TrainResult result = train(options);
  EXPECT_EQ(result.step, 12);
  EXPECT_GT(result.skipped_steps, 2);
  EXPECT_LT(result.skipped_steps, 12);
}

TEST_P(GuardedRun, WhatFailsInAValidationComesAfterASave) {
  TrainOptions options = this->options("run", {"train.save_every=0", "train.log_every=100"});
  fs::create_directories(options.run);
  fs::create_symlink("/dev/full", options.run / "metrics.jsonl");  // for the validation's line
  error_of(ErrorKind::resources, [&] { train(options); });
  fs::remove(options.run / "metrics.jsonl");
  options.resume = true;
  EXPECT_EQ(train(options).first_step, 5);
}

TEST_P(GuardedRun, FrozenTensorsStayBitForBit) {
  TrainOptions fresh = this->options("fresh", {"train.steps=0"});
  train(fresh);
  TrainOptions options = this->options("run", {"train.freeze=embed.* core.0.ffn.*"});
  const TrainResult result = train(options);
  EXPECT_GT(result.parameters, 0);
  EXPECT_LT(result.parameters, train(this->options("all", {"train.steps=1"})).parameters);
  const LoadedCheckpoint before = load_checkpoint(fresh.run, at::kCPU);
  const LoadedCheckpoint after = load_checkpoint(options.run, at::kCPU, LoadFor::resuming);
  for (const auto& item : before.model->parameters.items()) {
    const bool frozen = item.name.starts_with("embed.") || item.name.starts_with("core.0.ffn.");
    EXPECT_EQ(at::equal(item.tensor, after.model->parameters.at(item.name)), frozen) << item.name;
    EXPECT_TRUE(!frozen || !after.optimizer.count("exp_avg." + item.name)) << item.name;
  }
  expect_resumed_alike(options, 6, 12);
  options.resume = true;
  options.assignments = {"train.freeze=embed.*"};
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { train(options); }),
                       "cannot change on --resume: train.freeze"));
}

TEST_P(GuardedRun, LowRankUpdatesAreTrainedBesideWeightsThatStay) {
  TrainOptions first = this->options("first", {});
  train(first);
  TrainOptions options = this->options(
      "tuned", {"train.tune_rank=2", "train.lr=0.01", "train.tune_matrices=*.attn.*"});
  options.config.reset();
  options.init_from = first.run;
  train(options);
  const LoadedCheckpoint base = load_checkpoint(first.run, at::kCPU);
  const LoadedCheckpoint tuned = load_checkpoint(options.run, at::kCPU, LoadFor::resuming);
  for (const auto& item : base.model->parameters.items()) {
    const Tensor merged = tuned.model->parameters.at(item.name);
    const bool updated = tuned.optimizer.count(item.name + ".lora_base") > 0;
    EXPECT_EQ(updated, item.name.find(".attn.") != std::string::npos && item.shape.size() == 2)
        << item.name;
    EXPECT_EQ(at::equal(item.tensor, merged), !updated) << item.name;
    if (!updated) continue;
    EXPECT_TRUE(at::equal(item.tensor, tuned.optimizer.at(item.name + ".lora_base")));
    const Tensor sum =
        item.tensor +
        8 * tuned.optimizer.at(item.name + ".lora_b").mm(tuned.optimizer.at(item.name + ".lora_a"));
    EXPECT_TRUE(at::allclose(merged, sum, 1e-5, 1e-7)) << item.name;
  }
  expect_resumed_alike(options, 6, 12);
  options.resume = true;
  options.assignments = {"train.tune_rank=3"};
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { train(options); }),
                       "cannot change on --resume: train.tune_rank = 3 instead of 2"));
}

INSTANTIATE_TEST_SUITE_P(Devices, GuardedRun, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
