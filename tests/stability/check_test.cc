#include "stability/check.h"

#include "../model/sample_model.h"
#include "../scratch.h"
#include "../small_data.h"

namespace mythos {
namespace {

ModelConfig checked_config() {
  ModelConfig config = small_config();
  config.vocab_size = 300;
  return config;
}

LoadedCheckpoint checked_model() {
  LoadedCheckpoint loaded;
  loaded.path = "runs/x/step-000007";
  loaded.config.model = checked_config();
  loaded.model = std::make_unique<Model>(loaded.config.model);
  loaded.model->parameters.initialize(loaded.config.model, 1);
  return loaded;
}

TEST(StabilityCheck, OfACheckpointRunsTwiceItsLoopsUnlessTold) {
  StabilityOptions options;
  options.max_tokens = 64;
  StabilityReport report = check_checkpoint(checked_model(), at::kCPU, options);
  EXPECT_EQ(report.subject, "runs/x/step-000007");
  EXPECT_EQ(report.probe, "random ids");
  EXPECT_EQ(report.dynamics.loops.size(), 6);
  EXPECT_TRUE(report.weights && report.weights->none());
  options.loops = 2;
  EXPECT_EQ(check_checkpoint(checked_model(), at::kCPU, options).dynamics.loops.size(), 2);
}

TEST(StabilityCheck, JudgesByTheThresholdsThatAreGiven) {
  StabilityOptions options;
  options.max_tokens = 64;
  EXPECT_TRUE(check_checkpoint(checked_model(), at::kCPU, options).verdict.stable());
  options.thresholds.max_state = 1e-9;
  EXPECT_FALSE(check_checkpoint(checked_model(), at::kCPU, options).verdict.stable());
}

TEST(StabilityCheck, RunsOnShardsOfTheCheckpointsTokenizer) {
  const Scratch scratch;
  write_small_shards(scratch / "shards", 12);
  write_small_shards(scratch / "others", 12, "quite another vocabulary zzz");
  LoadedCheckpoint loaded = checked_model();
  loaded.tokenizer = load_carried_tokenizer(scratch / "shards");
  StabilityOptions options;
  options.max_tokens = 64;
  options.data = (scratch / "shards").string();
  EXPECT_EQ(check_checkpoint(loaded, at::kCPU, options).probe, options.data);
  options.data = (scratch / "others").string();
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { check_checkpoint(loaded, at::kCPU, options); }),
               "runs/x/step-000007"));
}

TEST(StabilityCheck, OfAPresetDrawsTheWeightsOfItsSeed) {
  Config config;
  config.model = checked_config();
  StabilityOptions options;
  options.max_tokens = 64;
  const auto norm = [&] {
    return check_preset("x", config, at::kCPU, options).dynamics.loops.back().state_mean;
  };
  EXPECT_EQ(check_preset("x", config, at::kCPU, options).subject, "preset x, freshly initialised");
  const double first = norm();
  EXPECT_EQ(norm(), first);
  options.seed = 2;
  EXPECT_NE(norm(), first);
}

}  // namespace
}  // namespace mythos
