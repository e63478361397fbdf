#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "../small_data.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"

namespace mythos {
namespace {

Config tiny_config() {
  Config config;
  config.model.dim = 32;
  config.model.max_seq_len = 64;
  config.model.max_loop_iters = 2;
  config.model.n_heads = 2;
  config.model.kv_lora_rank = config.model.q_lora_rank = 16;
  config.model.qk_rope_head_dim = 4;
  config.model.qk_nope_head_dim = config.model.v_head_dim = 8;
  config.model.n_experts = 4;
  config.model.expert_dim = 16;
  config.model.lora_rank = 2;
  config.train.steps = 12;
  config.train.batch_size = 2;
  config.train.seq_len = 16;
  config.train.grad_accum = 2;
  config.train.warmup_steps = 2;
  config.train.log_every = 4;
  config.train.val_every = 5;
  config.train.val_tokens = 64;
  config.train.save_every = 6;
  config.train.keep_last = 0;
  return config;
}

class TrainerTest : public testing::Test {
 protected:
  TrainerTest() {
    at::set_num_threads(1);
    set_log_level(LogLevel::error);
    write_small_shards(data(), 40);
  }
  fs::path data() const { return scratch_ / "shards"; }
  TrainOptions options(const std::string& run) const {
    TrainOptions options;
    options.config = tiny_config();
    options.data = {{data(), std::nullopt}};
    options.run = scratch_ / run;
    options.device = "cpu";
    return options;
  }
  Scratch scratch_;
};

// The lines without what a clock has measured.
std::vector<nlohmann::json> untimed(const fs::path& metrics) {
  std::vector<nlohmann::json> lines;
  for (const std::string& line : split(read_file(metrics), '\n')) {
    if (line.empty()) continue;
    lines.push_back(nlohmann::json::parse(line));
    lines.back().erase("seconds");
    lines.back().erase("tokens_per_second");
    lines.back().erase("data_wait");
  }
  return lines;
}

void expect_same_run(const fs::path& a, const fs::path& b, const std::string& step) {
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_TRUE(read_file(a / step / file) == read_file(b / step / file)) << file;
  }
  EXPECT_EQ(untimed(a / "metrics.jsonl"), untimed(b / "metrics.jsonl"));
  auto state_a = nlohmann::json::parse(read_file(a / step / "state.json"));
  auto state_b = nlohmann::json::parse(read_file(b / step / "state.json"));
  state_a.erase("seconds");
  state_b.erase("seconds");
  EXPECT_EQ(state_a, state_b);
}

TEST_F(TrainerTest, AResumedRunEqualsAnUninterruptedOneBitForBit) {
  TrainOptions options = this->options("whole");
  options.assignments = {"train.save_every=3"};
  const TrainResult whole = train(options);
  EXPECT_EQ(whole.step, 12);
  EXPECT_EQ(whole.checkpoint.filename(), "step-000012");
  ASSERT_TRUE(fs::exists(scratch_ / "whole/step-000006"));

  // As if the process had been killed after step 6 was saved: the metrics have gone further.
  const fs::path cut = scratch_ / "cut";
  fs::copy(scratch_ / "whole", cut, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove_all(cut / "step-000009");
  fs::remove_all(cut / "step-000012");
  fs::remove(cut / "latest");
  TrainOptions resume = this->options("cut");
  resume.resume = true;
  resume.config.reset();
  const TrainResult resumed = train(resume);
  EXPECT_EQ(resumed.first_step, 6);
  EXPECT_EQ(resumed.tokens, whole.tokens);
  expect_same_run(scratch_ / "whole", cut, "step-000009");
  expect_same_run(scratch_ / "whole", cut, "step-000012");
}

// A second source, with the tokenizer of the first: documents of its own, some for validation.
void write_more_shards(const fs::path& directory, const fs::path& first, bool val = true) {
  const auto tokenizer = load_carried_tokenizer(first);
  ShardWriter writer(directory, *tokenizer, {});
  size_t i = 0;
  for (const std::string& text : small_documents(30, 77)) {
    const auto split =
        val && i++ % 5 == 0 ? ShardDirectory::Split::val : ShardDirectory::Split::train;
    writer.add(split, tokenizer->encode(text), text.size());
  }
  writer.commit();
}

TEST_F(TrainerTest, AResumedMixturePackedByBestFitEqualsAnUninterruptedOne) {
  write_more_shards(scratch_ / "more", data());
  TrainOptions options = this->options("whole");
  options.data = {{data(), 0.7}, {scratch_ / "more", 0.3}};
  options.assignments = {"train.packing=best-fit", "train.save_every=5"};
  train(options);
  const fs::path cut = scratch_ / "cut";
  fs::create_directories(cut);
  fs::copy(scratch_ / "whole/step-000005", cut / "step-000005", fs::copy_options::recursive);
  fs::copy(scratch_ / "whole/metrics.jsonl", cut / "metrics.jsonl");
  TrainOptions resume = options;
  resume.run = cut;
  resume.resume = true;
  resume.config.reset();
  EXPECT_EQ(train(resume).first_step, 5);
  expect_same_run(scratch_ / "whole", cut, "step-000012");

  resume.assignments = {"train.steps=14"};
  const auto refused = [&](const std::vector<DataEntry>& list) {
    resume.data = list;
    return error_of(ErrorKind::data, [&] { train(resume); });
  };
  EXPECT_TRUE(contains(refused({{data(), 0.5}, {scratch_ / "more", 0.5}}), "'weight' was 0.7"));
  EXPECT_TRUE(contains(refused({{data(), std::nullopt}}), "2 sources of data, not 1"));
  resume.assignments.push_back("train.packing=contiguous");
  EXPECT_TRUE(
      contains(refused(options.data), R"('packing' was "best-fit-masked" and is "contiguous")"));
}

TEST_F(TrainerTest, SourcesAreValidatedByWeight) {
  write_more_shards(scratch_ / "more", data());
  write_more_shards(scratch_ / "unseen", data(), /*val=*/false);
  TrainOptions options = this->options("run");
  options.data = {{data(), 3}, {scratch_ / "more", 1}, {scratch_ / "unseen", 4}};
  train(options);
  const nlohmann::json line = untimed(scratch_ / "run/metrics.jsonl").back();
  const nlohmann::json& sources = line.at("sources");
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_EQ(sources[0].at("data"), data().string());
  EXPECT_EQ(sources[1].at("data"), (scratch_ / "more").string());
  const auto mean = [&](const char* key) {
    return 0.75 * sources[0].at(key).get<double>() + 0.25 * sources[1].at(key).get<double>();
  };
  EXPECT_NE(sources[0].at("val_loss"), sources[1].at("val_loss"));
  EXPECT_NEAR(line.at("val_loss").get<double>(), mean("val_loss"), 1e-9);
  EXPECT_NEAR(line.at("val_bpb").get<double>(), mean("val_bpb"), 0.1);
}

TEST_F(TrainerTest, WithoutWeightsSourcesCountByTheirTokens) {
  write_more_shards(scratch_ / "more", data());
  TrainOptions options = this->options("run");
  options.data = {{data(), std::nullopt}, {scratch_ / "more", std::nullopt}};
  train(options);
  const auto state = nlohmann::json::parse(read_file(scratch_ / "run/latest/state.json"));
  const nlohmann::json& sources = state.at("cursor").at("sources");
  const double a = sources[0].at("tokens"), b = sources[1].at("tokens");
  EXPECT_DOUBLE_EQ(sources[0].at("weight").get<double>(), a / (a + b));
  EXPECT_NEAR(sources[1].at("sequences").get<double>(), 48 * b / (a + b), 1);
}

TEST_F(TrainerTest, SourcesOfDifferentTokenizersAreRefused) {
  write_small_shards(scratch_ / "other", 40, "xyzzy plugh xyzzy plugh");
  TrainOptions options = this->options("run");
  options.data = {{data(), 1}, {scratch_ / "other", 1}};
  const std::string message = error_of(ErrorKind::data, [&] { train(options); });
  EXPECT_TRUE(contains(message, "mixed tokenizers in one --data list: " + data().string()));
  EXPECT_FALSE(fs::exists(options.run));
}

// The mask reaches the model: it changes what is learned, and a document mask that was never
// switched on leaves the order alone.
TEST_F(TrainerTest, TheDocumentMaskChangesTraining) {
  const auto loss = [&](const std::string& run, const std::vector<std::string>& assignments) {
    TrainOptions options = this->options(run);
    options.assignments = assignments;
    return *train(options).loss;
  };
  const double plain = loss("plain", {});
  EXPECT_EQ(loss("off", {"train.document_mask=off"}), plain);
  EXPECT_NE(loss("on", {"train.document_mask=on"}), plain);
  const double packed = loss("packed", {"train.packing=best-fit"});
  EXPECT_EQ(loss("packed-on", {"train.packing=best-fit", "train.document_mask=on"}), packed);
  EXPECT_NE(loss("packed-off", {"train.packing=best-fit", "train.document_mask=off"}), packed);
}

TEST_F(TrainerTest, MetricsHaveTheFieldsThatTheManualNames) {
  train(options("run"));
  const auto lines = untimed(scratch_ / "run/metrics.jsonl");
  std::vector<int64_t> steps, validated;
  for (const nlohmann::json& line : lines) {
    (line.contains("val_loss") ? validated : steps).push_back(line.at("step"));
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{4, 8, 12}));
  EXPECT_EQ(validated, (std::vector<int64_t>{5, 10, 12}));
  const nlohmann::json& first = lines.front();
  // One step takes 2 micro-batches of 2 sequences; a window at the end of the stream may repeat.
  EXPECT_LE(first.at("tokens").get<int64_t>(), 4 * 2 * 2 * 16);
  EXPECT_GT(first.at("tokens").get<int64_t>(), 3 * 2 * 2 * 16);
  EXPECT_NEAR(first.at("loss").get<double>(), std::log(300), 0.5);
  EXPECT_GT(first.at("bpb").get<double>(), 0);
  EXPECT_GT(first.at("grad_norm").get<double>(), 0);
  EXPECT_GE(first.at("mean_loops").get<double>(), 1);
  EXPECT_GE(first.at("loops").get<int64_t>(), 1);
  EXPECT_GT(first.at("lr").get<double>(), 0);
  EXPECT_EQ(first.at("padding").get<double>(),
            1 - first.at("tokens").get<double>() / (4 * 2 * 2 * 16));
  const std::string text = read_file(scratch_ / "run/metrics.jsonl");
  const auto line = nlohmann::json::parse(text.substr(0, text.find('\n')));
  EXPECT_GE(line.at("data_wait").get<double>(), 0);
  EXPECT_LE(line.at("data_wait").get<double>(), 1);
}

TEST_F(TrainerTest, TheLossFallsOnTextThatRepeats) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.steps=60",     "train.lr=1e-2",     "train.grad_accum=1",
                         "train.log_every=10", "train.val_every=0", "train.batch_size=4"};
  const TrainResult result = train(options);
  const auto lines = untimed(scratch_ / "run/metrics.jsonl");
  EXPECT_LT(*result.loss, 0.5 * lines.front().at("loss").get<double>());
  EXPECT_LT(*result.val_loss, 0.5 * lines.front().at("loss").get<double>());
}

TEST_F(TrainerTest, TheModelTakesTheVocabularyOfTheData) {
  const TrainResult result = train(options("run"));
  EXPECT_EQ(load_checkpoint(result.checkpoint, at::kCPU).config.model.vocab_size, 300);

  TrainOptions larger = options("larger");
  larger.assignments = {"model.vocab_size=512"};
  EXPECT_EQ(load_checkpoint(train(larger).checkpoint, at::kCPU).config.model.vocab_size, 512);

  TrainOptions smaller = options("smaller");
  smaller.assignments = {"vocab_size=299"};
  const std::string message = error_of(ErrorKind::usage, [&] { train(smaller); });
  EXPECT_TRUE(contains(message, "299")) << message;
  EXPECT_TRUE(contains(message, "300 tokens")) << message;
}

TEST_F(TrainerTest, ARunThatExistsIsNotTouchedWithoutResume) {
  const TrainResult result = train(options("run"));
  const std::string before = read_file(scratch_ / "run/metrics.jsonl");
  const std::string message = error_of(ErrorKind::usage, [&] { train(options("run")); });
  EXPECT_TRUE(contains(message, "--resume")) << message;
  EXPECT_TRUE(contains(message, "another --out")) << message;
  EXPECT_EQ(read_file(scratch_ / "run/metrics.jsonl"), before);
  TrainOptions inside = options("run/" + result.checkpoint.filename().string());
  inside.resume = true;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { train(inside); }), "one checkpoint"));
}

TEST_F(TrainerTest, ResumeOfNothingStartsAtZero) {
  TrainOptions options = this->options("run");
  options.resume = true;
  const TrainResult result = train(options);
  EXPECT_EQ(result.first_step, 0);
  EXPECT_EQ(result.step, 12);
  options = this->options("none");
  options.resume = true;
  options.config.reset();
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { train(options); }), "--preset"));
}

TEST_F(TrainerTest, ResumeTakesTrainingKeysAndRefusesModelKeys) {
  train(options("run"));
  TrainOptions resume = options("run");
  resume.resume = true;
  resume.config->train.lr = 9;  // the checkpoint's configuration counts
  resume.assignments = {"model.dim=64"};
  const std::string message = error_of(ErrorKind::usage, [&] { train(resume); });
  EXPECT_TRUE(contains(message, "model.dim")) << message;
  EXPECT_TRUE(contains(message, "has 32")) << message;
  resume.assignments = {"model.dim=32", "train.steps=14"};
  const TrainResult result = train(resume);
  EXPECT_EQ(result.first_step, 12);
  EXPECT_EQ(result.step, 14);
  EXPECT_EQ(load_checkpoint(result.checkpoint, at::kCPU).config.train.lr, 3e-3);
  const TrainResult again = train(resume);
  EXPECT_EQ(again.first_step, 14);
  EXPECT_EQ(again.checkpoint.filename(), "step-000014");
}

TEST_F(TrainerTest, ResumeRefusesShardsOfAnotherTokenizer) {
  train(options("run"));
  write_small_shards(scratch_ / "other", 40, "xyzzy plugh xyzzy plugh");
  TrainOptions resume = options("run");
  resume.resume = true;
  resume.data = {{scratch_ / "other", std::nullopt}};
  const std::string message = error_of(ErrorKind::data, [&] { train(resume); });
  EXPECT_TRUE(contains(message, ShardDirectory(data()).manifest().tokenizer_fingerprint));
  EXPECT_TRUE(
      contains(message, ShardDirectory(resume.data[0].directory).manifest().tokenizer_fingerprint));
}

TEST_F(TrainerTest, DivergenceStopsBeforeAnythingIsSaved) {
  train(options("run"));
  LoadedCheckpoint loaded = load_checkpoint(scratch_ / "run", at::kCPU, true);
  {
    const at::NoGradGuard no_grad;
    Tensor weight = loaded.model->parameters.at("norm.weight");
    weight[0] = std::numeric_limits<float>::quiet_NaN();
  }
  CheckpointContent content;
  content.config = loaded.config;
  content.config.train.steps = 20;
  content.tokenizer = loaded.tokenizer.get();
  content.model = named_tensors(loaded.model->parameters);
  for (const auto& [name, tensor] : loaded.optimizer) content.optimizer.emplace_back(name, tensor);
  content.state = loaded.state;
  save_checkpoint(scratch_ / "run", 12, content);

  TrainOptions resume = options("run");
  resume.resume = true;
  const std::string message = error_of(ErrorKind::diverged, [&] { train(resume); });
  EXPECT_TRUE(contains(message, "the loss is not finite at step 13")) << message;
  EXPECT_TRUE(contains(message, "train.lr")) << message;
  EXPECT_TRUE(contains(message, "step-000012")) << message;
  EXPECT_EQ(find_checkpoint(scratch_ / "run")->filename(), "step-000012");
}

TEST_F(TrainerTest, WithoutStepsTheFreshModelIsSaved) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.steps=0"};
  const TrainResult result = train(options);
  EXPECT_EQ(result.checkpoint.filename(), "step-000000");
  EXPECT_FALSE(result.loss);
}

TEST_F(TrainerTest, Sigusr1SavesAndGoesOn) {
  watch_signals();
  raise(SIGUSR1);
  const TrainResult result = train(options("run"));
  EXPECT_EQ(result.step, 12);
  EXPECT_TRUE(fs::exists(scratch_ / "run/step-000001"));
  train(options("undisturbed"));
  expect_same_run(scratch_ / "run", scratch_ / "undisturbed", "step-000012");
}

// The child runs this test again from its beginning and is told the parent's folder.
TEST(TrainerDeathTest, SigtermSavesAndEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  std::optional<Scratch> scratch;
  const char* given = std::getenv("MYTHOS_TEST_FOLDER");
  if (!given) {
    scratch.emplace();
    setenv("MYTHOS_TEST_FOLDER", scratch->path().c_str(), 1);
    write_small_shards(scratch->path() / "shards", 40);
  }
  const fs::path folder = given ? fs::path(given) : scratch->path();
  TrainOptions options;
  options.config = tiny_config();
  options.data = {{folder / "shards", std::nullopt}};
  options.run = folder / "run";
  options.device = "cpu";
  EXPECT_EXIT(
      {
        watch_signals();
        raise(SIGTERM);
        exit_by_signal(train(options).signal);
      },
      testing::KilledBySignal(SIGTERM), "");
  unsetenv("MYTHOS_TEST_FOLDER");
  EXPECT_EQ(find_checkpoint(options.run)->filename(), "step-000001");
  options.resume = true;
  EXPECT_EQ(train(options).first_step, 1);
  options.run = folder / "undisturbed";
  train(options);
  expect_same_run(folder / "run", options.run, "step-000012");
}

TEST(TrainResultJson, HasASchema) {
  TrainResult result;
  result.checkpoint = "runs/a/step-000012";
  const nlohmann::ordered_json json = to_json(result);
  EXPECT_EQ(json.at("schema"), "mythos.train/1");
  EXPECT_EQ(json.at("checkpoint"), "runs/a/step-000012");
  EXPECT_TRUE(json.at("val_bpb").is_null());
}

}  // namespace
}  // namespace mythos
