#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

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
