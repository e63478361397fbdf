#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "../device.h"
#include "../scratch.h"
#include "../small_data.h"
#include "base/glob.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "tiny_run.h"
#include "train/trainer.h"

namespace mythos {
namespace {

// Whole runs with train.optimizer = "muon", averages, and lengths in other units than steps.
class OptimizerRun : public DeviceTest {
 protected:
  OptimizerRun() {
    if (GetParam() != "cpu") use_deterministic_operators();
    at::set_num_threads(1);
    set_log_level(LogLevel::error);
    write_small_shards(scratch_ / "shards", 40);
  }
  TrainOptions options(const std::string& run, std::vector<std::string> assignments) const {
    Config config = tiny_run();
    config.train.steps = 6;
    config.train.save_every = 3;
    config.train.val_every = 0;
    config.train.optimizer = Optimizer::muon;
    config.train.ema_decay = 0.5;
    config.train.cautious_decay = true;
    TrainOptions options;
    options.config = config;
    options.assignments = std::move(assignments);
    options.data = {{scratch_ / "shards", std::nullopt}};
    options.run = scratch_ / run;
    options.device = GetParam();
    return options;
  }
  std::string usage_error(const TrainOptions& options) const {
    return error_of(ErrorKind::usage, [&] { train(options); });
  }
  Scratch scratch_;
};

TEST_P(OptimizerRun, GoesOnBitForBit) {
  EXPECT_EQ(train(options("whole", {})).step, 6);
  EXPECT_EQ(train(options("cut", {"train.steps=3", "train.schedule=constant"})).step, 3);
  EXPECT_EQ(train(options("other", {"train.schedule=constant"})).step, 6);
  TrainOptions resume = options("cut", {"train.schedule=constant"});
  resume.resume = true;
  EXPECT_EQ(train(resume).step, 6);
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    const auto read = [&](const char* run) { return read_file(scratch_ / run / "latest" / file); };
    EXPECT_TRUE(read("cut") == read("other")) << file;
    EXPECT_FALSE(read("cut") == read("whole")) << file;
  }
}

// The run's rate is 0 at its last step, that of the attention stays at its peak.
TEST_P(OptimizerRun, GroupsFollowTheirOwnSchedulesAndGoOnBitForBit) {
  const std::vector<std::string> assignments = {
      "train.param_groups=core.*.attn.* schedule=constant warmup=1", "train.min_lr_ratio=0",
      "train.save_every=1", "train.log_every=1", "train.keep_last=0"};
  EXPECT_EQ(train(options("whole", assignments)).step, 6);
  const fs::path run = scratch_ / "whole";
  const LoadedCheckpoint before = load_checkpoint(run / "step-000005", device_);
  const LoadedCheckpoint after = load_checkpoint(run / "step-000006", device_);
  for (const Parameters::Item& item : after.model->parameters.items()) {
    if (!is_trained(item.use)) continue;
    const bool stays = at::equal(item.tensor, before.model->parameters.at(item.name));
    EXPECT_EQ(stays, !matches_glob("core.*.attn.*", item.name)) << item.name;
  }
  const std::vector<std::string> lines = split(trim(read_file(run / "metrics.jsonl")), '\n');
  EXPECT_TRUE(std::ranges::any_of(lines, [](const std::string& line) {
    const nlohmann::json metrics = nlohmann::json::parse(line);
    return metrics.at("step") == 6 && metrics.contains("lr") && metrics["lr"] == 0.0;
  }));

  TrainOptions cut = options("cut", assignments);
  cut.after_backward = [](int64_t step, const Parameters&) {
    if (step == 4) throw std::runtime_error("cut");
  };
  EXPECT_THROW(train(cut), std::runtime_error);
  TrainOptions resume = options("cut", {});
  resume.config.reset();
  resume.resume = true;
  EXPECT_EQ(train(resume).first_step, 4);
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    const auto read = [&](const char* name) {
      return read_file(scratch_ / name / "latest" / file);
    };
    EXPECT_TRUE(read("cut") == read("whole")) << file;
  }
}

TEST_P(OptimizerRun, AveragesAreLoadedInsteadOfTheWeights) {
  const fs::path run = train(options("run", {})).checkpoint.parent_path();
  const LoadedCheckpoint last = load_checkpoint(run, device_);
  const LoadedCheckpoint average = load_checkpoint(run, device_, LoadFor::averages);
  const TensorMap state = load_checkpoint(run, at::kCPU, LoadFor::resuming).optimizer;
  for (const Parameters::Item& item : average.model->parameters.items()) {
    const Tensor weight = last.model->parameters.at(item.name);
    if (!is_trained(item.use)) {
      EXPECT_TRUE(at::equal(item.tensor, weight)) << item.name;
      continue;
    }
    EXPECT_TRUE(at::equal(item.tensor.cpu(), state.at("ema." + item.name))) << item.name;
    EXPECT_FALSE(at::equal(item.tensor, weight)) << item.name;
  }
  const fs::path without = train(options("without", {"train.ema_decay=0"})).checkpoint;
  const std::string message =
      error_of(ErrorKind::data, [&] { load_checkpoint(without, device_, LoadFor::averages); });
  EXPECT_TRUE(contains(message, "holds no averages of the weights")) << message;
}

TEST_P(OptimizerRun, TakesItsLengthInEpochs) {
  const TrainResult result = train(options("epochs", {"train.length=0.5e"}));
  const ShardDirectory data(scratch_ / "shards");
  const auto tokens = static_cast<double>(data.tokens(ShardDirectory::Split::train));
  EXPECT_EQ(result.step, static_cast<int64_t>(std::ceil(0.5 * tokens / 32)));
  // More steps are asked for, and count instead of the length.
  TrainOptions longer = options("epochs", {"train.steps=" + std::to_string(result.step + 2)});
  longer.config.reset();
  longer.resume = true;
  EXPECT_EQ(train(longer).step, result.step + 2);
  EXPECT_EQ(load_checkpoint(longer.run, at::kCPU).config.train.length, "");
}

TEST_P(OptimizerRun, RefusesWhatDoesNotFit) {
  EXPECT_TRUE(contains(usage_error(options("a", {"train.length=0.001e"})),
                       "train.warmup_steps = 2 is longer than the run"));
  EXPECT_TRUE(contains(usage_error(options("b", {"train.param_groups=embed.weigth lr=0.5"})),
                       "'embed.weigth' matches no trained tensor of the model. Did you mean "
                       "'embed.weight'?"));
  train(options("run", {"train.steps=1"}));
  TrainOptions other = options("run", {"train.optimizer=adamw"});
  other.resume = true;
  EXPECT_TRUE(contains(usage_error(other), "cannot change on --resume: train.optimizer"));
}

INSTANTIATE_TEST_SUITE_P(Devices, OptimizerRun, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
