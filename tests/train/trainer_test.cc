#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "../device.h"
#include "../scratch.h"
#include "../small_data.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "device/device.h"
#include "eval/evaluation.h"
#include "tiny_run.h"

namespace mythos {
namespace {

Config tiny_config() {
  Config config = tiny_run();
  config.train.grad_accum = 2;
  return config;
}

// On a CUDA device runs that are compared bit for bit need operators that are alike in each.
class TrainerTest : public DeviceTest {
 protected:
  TrainerTest() {
    if (GetParam() != "cpu") use_deterministic_operators();
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
    options.device = GetParam();
    return options;
  }
  // Resumes a copy of "whole", "cut", that lacks these checkpoints, the ones behind step 6.
  TrainResult resume_without(const std::vector<std::string>& checkpoints) const {
    const fs::path cut = scratch_ / "cut";
    fs::copy(scratch_ / "whole", cut,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (const std::string& name : checkpoints) fs::remove_all(cut / name);
    fs::remove(cut / "latest");
    TrainOptions resume = options("cut");
    resume.resume = true;
    resume.config.reset();
    const TrainResult resumed = train(resume);
    EXPECT_EQ(resumed.first_step, 6);
    return resumed;
  }
  // The newest checkpoint of "run" again, to go on to `steps`, with a weight that is not a number.
  void save_with_nan(int64_t steps) const {
    LoadedCheckpoint loaded = load_checkpoint(scratch_ / "run", at::kCPU, LoadFor::resuming);
    CheckpointContent content;
    content.config = loaded.config;
    content.config.train.steps = steps;
    content.tokenizer = loaded.tokenizer.get();
    content.model = named_tensors(loaded.model->parameters);
    for (auto& [name, tensor] : content.model) {
      if (name != "norm.weight") continue;
      tensor = tensor.clone();
      tensor[0] = std::numeric_limits<float>::quiet_NaN();
    }
    for (const auto& [name, tensor] : loaded.optimizer) {
      content.optimizer.emplace_back(name, tensor);
    }
    content.state = loaded.state;
    save_checkpoint(scratch_ / "run", 12, content);
  }
  Scratch scratch_;
};

void expect_same_run(const fs::path& a, const fs::path& b, const std::string& step) {
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_TRUE(read_file(a / step / file) == read_file(b / step / file)) << file;
  }
  EXPECT_EQ(untimed_lines(a / "metrics.jsonl"), untimed_lines(b / "metrics.jsonl"));
  auto state_a = nlohmann::json::parse(read_file(a / step / "state.json"));
  auto state_b = nlohmann::json::parse(read_file(b / step / "state.json"));
  state_a.erase("seconds");
  state_b.erase("seconds");
  EXPECT_EQ(state_a, state_b);
}

TEST_P(TrainerTest, AResumedRunEqualsAnUninterruptedOneBitForBit) {
  TrainOptions options = this->options("whole");
  options.assignments = {"train.save_every=3"};
  const TrainResult whole = train(options);
  EXPECT_EQ(whole.step, 12);
  EXPECT_EQ(whole.checkpoint.filename(), "step-000012");
  ASSERT_TRUE(fs::exists(scratch_ / "whole/step-000006"));

  // As if the process had been killed after step 6 was saved: the metrics have gone further.
  const fs::path cut = scratch_ / "cut";
  const TrainResult resumed = resume_without({"step-000009", "step-000012"});
  EXPECT_EQ(resumed.tokens, whole.tokens);
  expect_same_run(scratch_ / "whole", cut, "step-000009");
  expect_same_run(scratch_ / "whole", cut, "step-000012");
}

// The sums of terms and depths go on too: step 6 lies between two lines of metrics.
TEST_P(TrainerTest, AResumedRunWithObjectivesEqualsAnUninterruptedOne) {
  TrainOptions options = this->options("whole");
  options.config->model.halting = Halting::gate;
  options.config->model.halt_loops = 1.5;
  ObjectivesConfig& objectives = options.config->objectives;
  objectives.ponder = 0.5, objectives.jacobian = 0.1, objectives.balance = 0.01;
  train(options);
  resume_without({"step-000012"});
  const fs::path cut = scratch_ / "cut";
  expect_same_run(scratch_ / "whole", cut, "step-000012");
  for (const nlohmann::json& line : untimed_lines(cut / "metrics.jsonl")) {
    if (!line.contains("loss")) continue;
    ASSERT_EQ(line["objectives"].size(), 4U) << line;
    EXPECT_NEAR(line["objectives"]["next_token"].get<double>(), line["loss"].get<double>(), 1e-9);
    EXPECT_GT(line["objectives"]["jacobian"].get<double>(), 0);
    ASSERT_EQ(line["depth"].size(), 4U) << line;  // twice the mean of 2
    double depth = 0;
    for (const nlohmann::json& count : line["depth"]) depth += count.get<double>();
    EXPECT_NEAR(depth, 4 * 2 * 2 * 16, 1e-3);
  }
}

// Depths of sequences, their random first states and the curriculum are functions of the step.
TEST_P(TrainerTest, AResumedRunOfManyDepthsEqualsAnUninterruptedOne) {
  TrainOptions options = this->options("whole");
  options.assignments = {"initial_state=random",
                         "injection=add",
                         "loop_sampling=lognormal-poisson",
                         "loops_per=sequence",
                         "mean_loops=3",
                         "backprop_loops=-1",
                         "loop_curriculum=linear",
                         "loop_curriculum_fraction=0.9"};
  train(options);
  resume_without({"step-000012"});
  const fs::path cut = scratch_ / "cut";
  expect_same_run(scratch_ / "whole", cut, "step-000012");
  std::vector<double> means;
  bool whole = true;
  for (const nlohmann::json& line : untimed_lines(cut / "metrics.jsonl")) {
    if (!line.contains("mean_loops")) continue;
    means.push_back(line["mean_loops"].get<double>());
    // Four sequences have a mean in quarters.
    const double quarters = 4 * line["loops"].get<double>();
    EXPECT_EQ(quarters, std::round(quarters));
    whole = whole && line["loops"].is_number_integer();
  }
  ASSERT_EQ(means.size(), 3U);
  EXPECT_GE(means[0], 1);
  EXPECT_LT(means[0], means[2]);
  EXPECT_FALSE(whole);
}

// A second source, with the tokenizer of the first: documents of its own, some for validation.
void write_more_shards(const fs::path& directory, const fs::path& first, bool val = true,
                       bool bos = false) {
  const auto tokenizer = load_carried_tokenizer(first);
  ShardWriterOptions options;
  options.bos = bos;
  ShardWriter writer(directory, *tokenizer, options);
  size_t i = 0;
  for (const std::string& text : small_documents(30, 77)) {
    const auto split =
        val && i++ % 5 == 0 ? ShardDirectory::Split::val : ShardDirectory::Split::train;
    writer.add(split, tokenizer->encode(text), text.size());
  }
  writer.commit();
}

TEST_P(TrainerTest, AResumedMixturePackedByBestFitEqualsAnUninterruptedOne) {
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
    return error_of(ErrorKind::usage, [&] { train(resume); });
  };
  EXPECT_TRUE(contains(refused({{data(), 0.5}, {scratch_ / "more", 0.5}}), "'weight' was 0.7"));
  EXPECT_TRUE(contains(refused({{data(), std::nullopt}}), "2 sources of data, not 1"));
  resume.assignments.push_back("train.packing=contiguous");
  EXPECT_TRUE(
      contains(refused(options.data), R"(train.packing = "contiguous" instead of "best-fit")"));
}

TEST_P(TrainerTest, CheckpointsTellWhatDocumentsBeganAndEndedWith) {
  write_more_shards(scratch_ / "bos", data(), /*val=*/true, /*bos=*/true);
  const auto ends_of = [&](const std::string& run, const std::vector<DataEntry>& data) {
    TrainOptions options = this->options(run);
    options.data = data;
    options.assignments = {"train.steps=2", "train.save_every=1"};
    train(options);
    EXPECT_EQ(load_checkpoint(scratch_ / run / "step-000001", at::kCPU).documents,
              load_checkpoint(scratch_ / run / "step-000002", at::kCPU).documents);
    return load_checkpoint(scratch_ / run, at::kCPU).documents.value();
  };
  EXPECT_EQ(ends_of("plain", {{data(), 1}}), (DocumentEnds{Share::none, Share::all}));
  EXPECT_EQ(ends_of("with-bos", {{scratch_ / "bos", 1}}), (DocumentEnds{Share::all, Share::all}));
  EXPECT_EQ(ends_of("both", {{data(), 1}, {scratch_ / "bos", 1}}),
            (DocumentEnds{Share::some, Share::all}));
}

TEST_P(TrainerTest, SourcesAreValidatedByWeight) {
  write_more_shards(scratch_ / "more", data());
  write_more_shards(scratch_ / "unseen", data(), /*val=*/false);
  TrainOptions options = this->options("run");
  options.data = {{data(), 3}, {scratch_ / "more", 1}, {scratch_ / "unseen", 4}};
  train(options);
  const nlohmann::json line = untimed_lines(scratch_ / "run/metrics.jsonl").back();
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

TEST_P(TrainerTest, WithoutWeightsSourcesCountByTheirTokens) {
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

TEST_P(TrainerTest, SourcesOfDifferentTokenizersAreRefused) {
  write_small_shards(scratch_ / "other", 40, "xyzzy plugh xyzzy plugh");
  TrainOptions options = this->options("run");
  options.data = {{data(), 1}, {scratch_ / "other", 1}};
  const std::string message = error_of(ErrorKind::data, [&] { train(options); });
  EXPECT_TRUE(contains(message, "mixed tokenizers in one --data list: " + data().string()));
  EXPECT_FALSE(fs::exists(options.run));
}

// The mask reaches the model: it changes what is learned, and a document mask that was never
// switched on leaves the order alone.
TEST_P(TrainerTest, TheDocumentMaskChangesTraining) {
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

TEST_P(TrainerTest, MetricsHaveTheFieldsThatTheManualNames) {
  train(options("run"));
  const auto lines = untimed_lines(scratch_ / "run/metrics.jsonl");
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

// The depth that positions ran, the loads of experts and the share of the peak.
TEST_P(TrainerTest, MetricsTellOfHaltingExpertsAndUtilisation) {
  TrainOptions options = this->options("run");
  options.assignments = {"halting=act", "loop_sampling=fixed", "mean_loops=3",
                         "train.peak_tflops=0.5", "train.balance_rate=0"};
  train(options);
  for (const nlohmann::json& line : metrics_lines(scratch_ / "run/metrics.jsonl")) {
    if (!line.contains("loss")) continue;
    double needed = 0, positions = 0;
    for (size_t i = 0; i < line.at("depth").size(); ++i) {
      const auto count = line["depth"][i].get<double>();
      needed += count * static_cast<double>(i + 1);
      positions += count;
    }
    EXPECT_NEAR(line.at("halting_saves").get<double>(), 1 - needed / (3 * positions), 1e-9);
    for (const char* key : {"most_loaded", "entropy"}) {
      const nlohmann::json& layers = line.at("experts").at(key);
      ASSERT_EQ(layers.size(), static_cast<size_t>(options.config->model.core_layers)) << line;
      for (const nlohmann::json& layer : layers) {
        EXPECT_GT(layer.get<double>(), 0);
        EXPECT_LE(layer.get<double>(), 4) << "there are 4 experts";
      }
    }
    EXPECT_GT(line.at("mfu").get<double>(), 0);
    EXPECT_LT(line.at("mfu").get<double>(), 1);
  }
}

// What validation measures is what eval does of the checkpoint: documents stand as in training.
TEST_P(TrainerTest, ValidationKeepsDocumentsApartWhereTrainingDoes) {
  const auto of = [&](const std::string& run, const std::string& packing) {
    TrainOptions options = this->options(run);
    options.assignments = {"train.packing=" + packing, "train.val_tokens=0",
                           "train.compute_type=fp32"};
    const TrainResult result = train(options);
    const LoadedCheckpoint loaded = load_checkpoint(result.checkpoint, resolve_device(GetParam()));
    EvalOptions eval;
    eval.data = data().string();
    eval.loops = {result.val_loops.value()};
    eval.compute_type = loaded.config.train.compute_type;
    const EvalReport report = evaluate_checkpoint(loaded, resolve_device(GetParam()), eval);
    EXPECT_NEAR(report.loops[0].loss(), result.val_loss.value(), 1e-5);
    return report.loops[0].tokens;
  };
  const ShardDirectory shards(data());
  const auto split = ShardDirectory::Split::val;
  EXPECT_EQ(of("apart", "best-fit"),
            static_cast<int64_t>(shards.tokens(split) - shards.documents(split)));
  EXPECT_EQ(of("stream", "contiguous"), static_cast<int64_t>(shards.tokens(split)) - 1);
}

TEST_P(TrainerTest, TheLossFallsOnTextThatRepeats) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.steps=60",     "train.lr=1e-2",     "train.grad_accum=1",
                         "train.log_every=10", "train.val_every=0", "train.batch_size=4"};
  const TrainResult result = train(options);
  const auto lines = untimed_lines(scratch_ / "run/metrics.jsonl");
  EXPECT_LT(*result.loss, 0.5 * lines.front().at("loss").get<double>());
  EXPECT_LT(*result.val_loss, 0.5 * lines.front().at("loss").get<double>());
}

TEST_P(TrainerTest, TheModelTakesTheVocabularyOfTheData) {
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

TEST_P(TrainerTest, ARunThatExistsIsNotTouchedWithoutResume) {
  const TrainResult result = train(options("run"));
  const std::string before = read_file(scratch_ / "run/metrics.jsonl");
  const std::string message = error_of(ErrorKind::usage, [&] { train(options("run")); });
  EXPECT_TRUE(contains(message, "--resume")) << message;
  EXPECT_TRUE(contains(message, "another --out")) << message;
  EXPECT_TRUE(contains(message, "--overwrite")) << message;
  EXPECT_EQ(read_file(scratch_ / "run/metrics.jsonl"), before);
  TrainOptions inside = options("run/" + result.checkpoint.filename().string());
  inside.resume = true;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { train(inside); }), "one checkpoint"));
}

TEST_P(TrainerTest, ResumeOfNothingStartsAtZero) {
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

TEST_P(TrainerTest, ResumeTakesTrainingKeysAndRefusesModelKeys) {
  train(options("run"));
  TrainOptions resume = options("run");
  resume.resume = true;
  resume.assignments = {"model.dim=64", "train.seed=7"};
  const std::string message = error_of(ErrorKind::usage, [&] { train(resume); });
  EXPECT_TRUE(contains(message,
                       "cannot change on --resume: model.dim = 64 instead of 32, "
                       "train.seed = 7 instead of 1"))
      << message;
  // The configuration given beside --resume counts, and what it changes is said.
  resume.config->train.lr = 5e-3;
  resume.assignments = {"model.dim=32", "train.steps=14"};
  set_log_level(LogLevel::info);
  testing::internal::CaptureStderr();
  const TrainResult result = train(resume);
  const std::string said = testing::internal::GetCapturedStderr();
  set_log_level(LogLevel::error);
  EXPECT_TRUE(contains(said, "changed: train.steps = 14 instead of 12\n")) << said;
  EXPECT_TRUE(contains(said, "changed: train.lr = 0.005 instead of 0.003\n")) << said;
  EXPECT_TRUE(contains(said, "the learning rate goes from 3.00e-04 at step 12 to ")) << said;
  EXPECT_EQ(result.first_step, 12);
  EXPECT_EQ(result.step, 14);
  EXPECT_EQ(load_checkpoint(result.checkpoint, at::kCPU).config.train.lr, 5e-3);
  const TrainResult again = train(resume);
  EXPECT_EQ(again.first_step, 14);
  EXPECT_EQ(again.checkpoint.filename(), "step-000014");
}

// Name and content of every file of a run but its lock.
std::map<std::string, std::string> content_of(const fs::path& run) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    if (entry.is_regular_file() && entry.path().filename() != ".lock") {
      files[entry.path().lexically_relative(run)] = read_file(entry.path());
    }
  }
  return files;
}

TEST_P(TrainerTest, ARunWhoseOnlyCheckpointIsDamagedIsNotStartedOver) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.save_every=0"};
  train(options);
  const fs::path model = scratch_ / "run/step-000012/model.safetensors";
  fs::resize_file(model, fs::file_size(model) - 1);
  const auto before = content_of(options.run);
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { train(options); }), "--overwrite"));
  options.resume = true;
  const std::string message = error_of(ErrorKind::data, [&] { train(options); });
  EXPECT_TRUE(contains(message, "its only checkpoint is damaged: " + model.string())) << message;
  EXPECT_TRUE(contains(message, "--overwrite")) << message;
  EXPECT_EQ(content_of(options.run), before);
  options.resume = false;
  options.overwrite = true;
  options.assignments = {"model.max_seq_len=1000000", "train.seq_len=1000000"};
  error_of(ErrorKind::data, [&] { train(options); });
  EXPECT_EQ(content_of(options.run), before);
  options.assignments = {"train.steps=3"};
  EXPECT_EQ(train(options).first_step, 0);
  EXPECT_FALSE(fs::exists(model));
  EXPECT_EQ(load_checkpoint(options.run, at::kCPU).path, options.run / "step-000003");
}

TEST_P(TrainerTest, ADamagedCheckpointIsPassedOverForTheOneBefore) {
  train(options("whole"));
  train(options("run"));
  const fs::path config = scratch_ / "run/step-000012/config.toml";
  write_file_atomic(config, read_file(config) + "\n");
  TrainOptions resume = options("run");
  resume.resume = true;
  EXPECT_EQ(train(resume).first_step, 6);
  expect_same_run(scratch_ / "run", scratch_ / "whole", "step-000012");
}

TEST_P(TrainerTest, OneProcessAtATimeTrainsInARun) {
  TrainOptions options = this->options("run");
  fs::create_directories(options.run);
  FileLock other;
  ASSERT_EQ(other.owner(options.run / ".lock"), FileLock::Outcome::locked);
  const std::string message = error_of(ErrorKind::usage, [&] { train(options); });
  EXPECT_TRUE(contains(message, options.run.string() + " is in use: process ")) << message;
  other.release();  // as a process that dies does: the file stays
  EXPECT_EQ(train(options).step, 12);
  EXPECT_FALSE(fs::exists(options.run / ".lock"));
}

TEST_P(TrainerTest, TheBestCheckpointStaysBesideTheNewest) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.save_every=1", "train.val_every=1",    "train.keep_last=1",
                         "train.lr=0.3",       "train.warmup_steps=0", "train.schedule=constant"};
  train(options);
  int64_t best = 0;
  double lowest = std::numeric_limits<double>::infinity();
  for (const nlohmann::json& line : untimed_lines(options.run / "metrics.jsonl")) {
    if (!line.contains("val_loss") || line["val_loss"].get<double>() >= lowest) continue;
    lowest = line["val_loss"];
    best = line["step"];
  }
  ASSERT_NE(best, 12) << "the learning rate should have been too high";
  EXPECT_EQ(fs::read_symlink(options.run / "best"), strprintf("step-%06d", static_cast<int>(best)));
  EXPECT_EQ(checkpoint_directories(options.run).size(), 2U);
  const nlohmann::json state = load_checkpoint(options.run, at::kCPU).state;
  EXPECT_EQ(state.at("best").at("step"), best);
  EXPECT_EQ(state.at("best").at("loss"), lowest);
}

TEST_P(TrainerTest, AStepIsSavedBeforeItIsValidated) {
  TrainOptions options = this->options("run");
  train(options);
  const std::string whole = read_file(options.run / "metrics.jsonl");
  const auto lines = untimed_lines(options.run / "metrics.jsonl");
  ASSERT_TRUE(lines.back().contains("val_loss"));
  // As if the process had been killed while it validated.
  write_file_atomic(options.run / "metrics.jsonl",
                    whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));
  options.resume = true;
  const TrainResult result = train(options);
  EXPECT_EQ(result.first_step, 12);
  EXPECT_EQ(untimed_lines(options.run / "metrics.jsonl"), lines);
  EXPECT_EQ(*result.val_loss, lines.back().at("val_loss").get<double>());
}

TEST_P(TrainerTest, WhatEndsARunComesAfterASave) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.save_every=0"};
  fs::create_directories(options.run);
  fs::create_symlink("/dev/full", options.run / "metrics.jsonl");
  const std::string message = error_of(ErrorKind::resources, [&] { train(options); });
  EXPECT_TRUE(contains(message, "metrics.jsonl: No space left on device")) << message;
  fs::remove(options.run / "metrics.jsonl");
  options.resume = true;
  EXPECT_EQ(train(options).first_step, 4);
}

// A run of 4 steps that goes on from a checkpoint which says that the loss was lower than it is.
class BlowUpTest : public TrainerTest {
 protected:
  void SetUp() override {
    TrainerTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    TrainOptions first = options("run");
    first.assignments = {"train.steps=4"};
    train(first);
    LoadedCheckpoint loaded = load_checkpoint(first.run, at::kCPU, LoadFor::resuming);
    CheckpointContent content;
    content.config = loaded.config;
    content.tokenizer = loaded.tokenizer.get();
    content.model = named_tensors(loaded.model->parameters);
    for (const auto& [name, tensor] : loaded.optimizer)
      content.optimizer.emplace_back(name, tensor);
    content.state = loaded.state;
    content.state["lowest_loss"] = 0.01;
    save_checkpoint(first.run, 4, content);
    resume_ = options("run");
    resume_.resume = true;
    resume_.assignments = {"train.log_every=1"};
  }
  TrainOptions resume_;
};

TEST_P(BlowUpTest, StopsWhereItStays) {
  resume_.assignments.insert(resume_.assignments.end(),
                             {"train.save_every=7", "train.steps=80", "train.lr=1e-6"});
  const std::string message = error_of(ErrorKind::diverged, [&] { train(resume_); });
  EXPECT_TRUE(contains(message, "training diverged: the loss at step 55, ")) << message;
  EXPECT_TRUE(contains(message, "is far above the lowest, 0.01, and has been for 50 steps"))
      << message;
  EXPECT_TRUE(contains(message, "train.on_blow_up=warn")) << message;
  EXPECT_EQ(load_checkpoint(resume_.run, at::kCPU).path.filename(), "step-000049");
}

TEST_P(BlowUpTest, AtTheEndIsSavedAndIsNoSuccess) {
  resume_.assignments.push_back("train.steps=7");
  const std::string message = error_of(ErrorKind::diverged, [&] { train(resume_); });
  EXPECT_TRUE(contains(message, "the last loss, ")) << message;
  EXPECT_TRUE(contains(message, "saved as " + (resume_.run / "step-000007").string())) << message;
  EXPECT_EQ(load_checkpoint(resume_.run, at::kCPU).path.filename(), "step-000007");
}

TEST_P(BlowUpTest, WarnsWhereAsked) {
  resume_.assignments.push_back("train.on_blow_up=warn");
  set_log_level(LogLevel::warning);
  testing::internal::CaptureStderr();
  EXPECT_EQ(train(resume_).step, 12);
  const std::string said = testing::internal::GetCapturedStderr();
  set_log_level(LogLevel::error);
  EXPECT_TRUE(contains(said, "the loss at step 5, ")) << said;
  EXPECT_FALSE(contains(said, "the loss at step 6, ")) << said;
}

TEST_P(TrainerTest, ANewRunBeginsWithTheWeightsOfACheckpoint) {
  train(options("first"));
  TrainOptions options = this->options("second");
  options.config.reset();
  options.init_from = scratch_ / "first";
  options.assignments = {"train.steps=0", "train.lr=1e-4", "model.max_seq_len=128"};
  const TrainResult fresh = train(options);
  EXPECT_EQ(fresh.checkpoint.filename(), "step-000000");
  const fs::path from = scratch_ / "first/step-000012";
  EXPECT_EQ(read_file(fresh.checkpoint / "model.safetensors"),
            read_file(from / "model.safetensors"));
  const LoadedCheckpoint loaded = load_checkpoint(fresh.checkpoint, at::kCPU);
  EXPECT_EQ(loaded.config.train.lr, 1e-4);
  EXPECT_EQ(loaded.config.model.max_seq_len, 128);
  EXPECT_EQ(loaded.state.at("init_from"),
            nlohmann::json({{"checkpoint", from.string()}, {"step", 12}}));

  // The same command goes on where it was.
  options.assignments[0] = "train.steps=2";
  options.resume = true;
  const TrainResult result = train(options);
  EXPECT_EQ(result.first_step, 0);
  EXPECT_EQ(result.step, 2);
  EXPECT_EQ(load_checkpoint(options.run, at::kCPU).state.at("init_from").at("step"), 12);
}

TEST_P(TrainerTest, WeightsThatDoNotFitAreRefused) {
  train(options("first"));
  TrainOptions options = this->options("second");
  options.init_from = scratch_ / "first";
  options.assignments = {"model.expert_dim=24"};
  std::string message = error_of(ErrorKind::usage, [&] { train(options); });
  EXPECT_TRUE(contains(message, "do not fit the model: model.expert_dim = 24 instead of 16"))
      << message;
  options.assignments.clear();
  write_small_shards(scratch_ / "other", 40, "xyzzy plugh xyzzy plugh");
  options.data = {{scratch_ / "other", std::nullopt}};
  message = error_of(ErrorKind::data, [&] { train(options); });
  EXPECT_TRUE(contains(message, "the checkpoint " + (scratch_ / "first").string())) << message;
  EXPECT_FALSE(fs::exists(options.run));
}

// An imported model carries no tokenizer and no optimizer.
TEST_P(TrainerTest, AModelWithoutTokenizerCanBeTrainedOn) {
  const TrainResult first = train(options("first"));
  LoadedCheckpoint loaded = load_checkpoint(first.checkpoint, at::kCPU);
  CheckpointContent content;
  content.config = loaded.config;
  content.model = named_tensors(loaded.model->parameters);
  content.state = {{"step", 0}};
  save_checkpoint(scratch_ / "imported", 0, content);
  TrainOptions options = this->options("second");
  options.config.reset();
  options.init_from = scratch_ / "imported";
  EXPECT_LT(*train(options).loss, *first.loss);
  options.init_from.clear();
  options.resume = true;
  options.run = scratch_ / "imported";
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { train(options); }), "--init-from"));
}

TEST_P(TrainerTest, ResumeRefusesShardsOfAnotherTokenizer) {
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

TEST_P(TrainerTest, DivergenceStopsBeforeAnythingIsSaved) {
  train(options("run"));
  save_with_nan(20);
  TrainOptions resume = options("run");
  resume.config.reset();
  resume.resume = true;
  const std::string message = error_of(ErrorKind::diverged, [&] { train(resume); });
  // A device is read at the next line of metrics.
  const std::string where = GetParam() == "cpu" ? "at step 13 " : "in steps 13 to 16 ";
  EXPECT_TRUE(contains(message, "the loss is not finite " + where)) << message;
  EXPECT_TRUE(contains(message, "train.lr")) << message;
  EXPECT_TRUE(contains(message, "step-000012")) << message;
  EXPECT_EQ(load_checkpoint(scratch_ / "run", at::kCPU).path.filename(), "step-000012");
}

class Fp16Test : public TrainerTest {
 protected:
  TrainOptions fp16_options(const std::string& run, std::vector<std::string> assignments) const {
    TrainOptions options = this->options(run);
    assignments.insert(assignments.begin(), "train.compute_type=fp16");
    options.assignments = std::move(assignments);
    return options;
  }
};

TEST_P(Fp16Test, TheLossIsNearThatOfFp32) {
  const auto losses = [&](const std::string& type) {
    TrainOptions options = this->options(type);
    options.assignments = {"train.compute_type=" + type, "train.steps=50",    "train.lr=1e-2",
                           "train.grad_accum=1",         "train.log_every=5", "train.val_every=0"};
    EXPECT_EQ(train(options).compute_type, type);
    std::vector<double> out;
    for (const nlohmann::json& line : untimed_lines(options.run / "metrics.jsonl")) {
      if (line.contains("loss")) out.push_back(line["loss"]);
    }
    return out;
  };
  const std::vector<double> fp32 = losses("fp32"), fp16 = losses("fp16");
  ASSERT_EQ(fp32.size(), 10U);
  ASSERT_EQ(fp16.size(), 10U);
  EXPECT_LT(fp32.back(), 0.8 * fp32.front());
  for (size_t i = 0; i < fp32.size(); ++i) EXPECT_NEAR(fp16[i], fp32[i], 0.02 * fp32[i]) << i;
}

// The first scale lets every gradient overflow, so steps are skipped before and behind the
// checkpoint that the second run goes on from; the scale grows again meanwhile.
TEST_P(Fp16Test, AResumedRunEqualsAnUninterruptedOneBitForBit) {
  TrainOptions options = fp16_options(
      "whole", {"train.save_every=5", "train.loss_scale=1e12", "train.loss_scale_backoff=0.03",
                "train.loss_scale_growth=1000", "train.loss_scale_interval=3"});
  const TrainResult whole = train(options);
  EXPECT_GT(whole.skipped_steps, 2);
  EXPECT_LT(whole.skipped_steps, 12);
  const auto skipped_at = [&](const char* step) {
    return load_checkpoint(options.run / step, at::kCPU).state.at("skipped_steps").get<int64_t>();
  };
  EXPECT_GT(skipped_at("step-000005"), 0);
  EXPECT_GT(skipped_at("step-000012"), skipped_at("step-000005"));
  const fs::path cut = scratch_ / "cut";
  fs::create_directories(cut);
  fs::copy(options.run / "step-000005", cut / "step-000005", fs::copy_options::recursive);
  fs::copy(options.run / "metrics.jsonl", cut / "metrics.jsonl");
  TrainOptions resume = this->options("cut");
  resume.resume = true;
  resume.config.reset();
  const TrainResult resumed = train(resume);
  EXPECT_EQ(resumed.first_step, 5);
  EXPECT_EQ(resumed.skipped_steps, whole.skipped_steps);
  expect_same_run(options.run, cut, "step-000012");
}

TEST_P(Fp16Test, AStepThatOverflowsChangesNothingButTheScale) {
  TrainOptions fresh = fp16_options("fresh", {"train.steps=0"});
  TrainOptions options = fp16_options(
      "run", {"train.steps=2", "train.log_every=1", "train.val_every=0", "train.loss_scale=1e12"});
  set_log_level(LogLevel::info);
  testing::internal::CaptureStderr();
  const TrainResult result = train(options);
  const std::string said = testing::internal::GetCapturedStderr();
  set_log_level(LogLevel::error);
  EXPECT_EQ(result.skipped_steps, 2);
  EXPECT_TRUE(contains(said, "  1 skipped  ETA ")) << said;
  EXPECT_EQ(read_file(result.checkpoint / "model.safetensors"),
            read_file(train(fresh).checkpoint / "model.safetensors"));
  const LoadedCheckpoint loaded = load_checkpoint(options.run, at::kCPU, LoadFor::resuming);
  for (const auto& [name, tensor] : loaded.optimizer) {
    EXPECT_EQ(tensor.abs().max().item<float>(), 0) << name;
  }
  EXPECT_EQ(loaded.state.at("loss_scaler").at("scale"), static_cast<float>(1e12) / 4);
  const auto lines = untimed_lines(options.run / "metrics.jsonl");
  EXPECT_EQ(lines[0].at("skipped_steps"), 1);
  EXPECT_EQ(lines[1].at("skipped_steps"), 2);
  EXPECT_EQ(lines[1].at("loss_scale"), static_cast<float>(1e12) / 4);
  EXPECT_NEAR(lines[0].at("loss").get<double>(), std::log(300), 0.5);
  EXPECT_TRUE(lines[0].at("grad_norm").is_null());
}

TEST_P(Fp16Test, GradientsThatOverflowAtTheLeastScaleEndTheRun) {
  train(options("run"));
  save_with_nan(40);
  TrainOptions resume = fp16_options(
      "run", {"train.loss_scale=2", "train.save_every=0", "train.log_every=1", "train.steps=40"});
  resume.resume = true;
  const std::string message = error_of(ErrorKind::diverged, [&] { train(resume); });
  EXPECT_TRUE(contains(message,
                       "up to step 23 the gradients of 10 steps in a row are not finite in fp16, "
                       "though the loss scale is 1, its least."))
      << message;
  EXPECT_TRUE(contains(message, "train.compute_type=bf16")) << message;
  EXPECT_EQ(load_checkpoint(scratch_ / "run", at::kCPU).path.filename(), "step-000012");
}

INSTANTIATE_TEST_SUITE_P(Devices, Fp16Test, testing::ValuesIn(test_devices()), device_name);

TEST_P(TrainerTest, WithoutStepsTheFreshModelIsSaved) {
  TrainOptions options = this->options("run");
  options.assignments = {"train.steps=0"};
  const TrainResult result = train(options);
  EXPECT_EQ(result.checkpoint.filename(), "step-000000");
  EXPECT_FALSE(result.loss);
}

TEST_P(TrainerTest, Sigusr1SavesAndGoesOn) {
  TrainOptions options = this->options("run");
  options.before_first_step = [] {
    watch_save_requests();
    raise(SIGUSR1);
  };
  options.take_save_request = take_save_request;
  const TrainResult result = train(options);
  EXPECT_EQ(result.step, 12);
  EXPECT_TRUE(fs::exists(scratch_ / "run/step-000001"));
  train(this->options("undisturbed"));
  expect_same_run(scratch_ / "run", scratch_ / "undisturbed", "step-000012");
}

TEST_P(TrainerTest, AStopEndsTheRunBehindASaveAndAResumeGoesOn) {
  StopSource source;
  TrainOptions options = this->options("run");
  options.before_first_step = [&] { source.request_stop(); };
  options.stop = source.token();
  const TrainResult stopped = train(options);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.step, 1);
  EXPECT_EQ(stopped.checkpoint.filename(), "step-000001");
  options = this->options("run");
  options.resume = true;
  const TrainResult resumed = train(options);
  EXPECT_FALSE(resumed.stopped);
  EXPECT_EQ(resumed.first_step, 1);
  train(this->options("undisturbed"));
  expect_same_run(scratch_ / "run", scratch_ / "undisturbed", "step-000012");
}

INSTANTIATE_TEST_SUITE_P(Devices, TrainerTest, testing::ValuesIn(test_devices()), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, BlowUpTest, testing::ValuesIn(test_devices()), device_name);

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
        StopSignals signals;
        options.stop = signals.token();
        options.before_first_step = [&] {
          signals.watch();
          raise(SIGTERM);
        };
        exit_by_signal(train(options).stopped ? signals.signal() : SIGKILL);
      },
      testing::KilledBySignal(SIGTERM), "");
  unsetenv("MYTHOS_TEST_FOLDER");
  EXPECT_EQ(load_checkpoint(options.run, at::kCPU).path.filename(), "step-000001");
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
  EXPECT_EQ(json.at("skipped_steps"), 0);
  EXPECT_TRUE(json.at("val_bpb").is_null());
}

}  // namespace
}  // namespace mythos
