#include "checkpoint/checkpoint.h"

#include <ATen/ATen.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "../device.h"
#include "../scratch.h"
#include "base/file_lock.h"
#include "base/strings.h"
#include "checkpoint/manifest.h"
#include "device/tensor_memory.h"
#include "sample.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

class CheckpointTest : public testing::Test {
 protected:
  // A model on `device`.
  explicit CheckpointTest(at::Device device = at::kCPU)
      : run_(scratch_ / "run"), model_(sample_config(), device) {
    write_file_atomic(scratch_ / "tok.model", sample_vocabulary());
    tokenizer_ = load_tokenizer(scratch_ / "tok.model");
    model_.parameters.initialize(model_.config, 7);
    content_.config.model = model_.config;
    content_.config.train.seq_len = 32;
    content_.tokenizer = tokenizer_.get();
    content_.model = named_tensors(model_.parameters);
    // Beyond 2 MiB: three blocks of the manifest.
    content_.optimizer = {{"embed.weight.exp_avg", at::arange(600'000).to(at::kFloat)},
                          {"step", at::tensor({int64_t{12}})}};
    content_.state = {{"tokens", 4096}, {"loss", 1.25}, {"cursor", {{"windows", 3}}}};
  }

  fs::path save(int64_t step) { return save_checkpoint(run_, step, content_); }

  std::vector<std::string> names(const fs::path& directory) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(directory)) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  fs::path loaded(const fs::path& path) const { return load_checkpoint(path, at::kCPU).path; }

  // What load_checkpoint says on stderr while it looks for the run's newest.
  std::string warnings_of_load(fs::path& found) const {
    testing::internal::CaptureStderr();
    found = loaded(run_);
    return testing::internal::GetCapturedStderr();
  }

  const Scratch scratch_;
  const fs::path run_;
  Model model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  CheckpointContent content_;
};

// What a device has to do with: tensors that are saved from it and loaded to it. On a machine
// without the device the fixture is made on the CPU and the test skipped.
class CheckpointOnDevice : public CheckpointTest, public testing::WithParamInterface<std::string> {
 protected:
  CheckpointOnDevice() : CheckpointTest(device_or_cpu(GetParam())) {}
  void SetUp() override { skip_without(GetParam()); }
  at::Device device() const { return resolve_device(GetParam()); }
};

using Names = std::vector<std::string>;

// The optimizer has its own tensors on the device and copies into them.
TEST_F(CheckpointTest, TheStateToResumeFromTakesNoMemoryOfTheDevice) {
  save(200);
  const LoadedCheckpoint loaded = load_checkpoint(run_, at::kMeta, LoadFor::resuming);
  EXPECT_TRUE(loaded.model->parameters.at("norm.weight").is_meta());
  for (const auto& [name, tensor] : loaded.optimizer) EXPECT_TRUE(tensor.is_cpu()) << name;
  expect_equal(loaded.optimizer, as_map(content_.optimizer));
  count_tensor_memory();
  const int64_t before = tensor_bytes();
  const LoadedCheckpoint again = load_checkpoint(run_, at::kMeta, LoadFor::resuming);
  EXPECT_EQ(tensor_bytes(), before);
}

TEST_P(CheckpointOnDevice, LoadsWhatWasSaved) {
  const fs::path saved = save(200);
  EXPECT_EQ(saved, run_ / "step-000200");
  Names expected = {"config.toml",           "manifest.json", "model.safetensors",
                    "optimizer.safetensors", "state.json",    tokenizer_->file_name()};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names(saved), expected);
  EXPECT_EQ(verify_checkpoint(saved), Names{});

  const LoadedCheckpoint loaded = load_checkpoint(run_, device(), LoadFor::resuming);
  EXPECT_EQ(loaded.path, saved);
  EXPECT_EQ(loaded.config, content_.config);
  nlohmann::json state = content_.state;
  state["step"] = 200;
  EXPECT_EQ(loaded.state, state);
  EXPECT_TRUE(loaded.was_trained());
  EXPECT_EQ(loaded.documents, std::nullopt);
  ASSERT_NE(loaded.tokenizer, nullptr);
  EXPECT_EQ(loaded.tokenizer->file_content(), tokenizer_->file_content());
  EXPECT_EQ(loaded.tokenizer->fingerprint(), tokenizer_->fingerprint());
  EXPECT_EQ(loaded.model->parameters.at("norm.weight").device(), device());
  expect_equal(as_map(named_tensors(loaded.model->parameters)), as_map(content_.model));
  expect_equal(loaded.optimizer, as_map(content_.optimizer));
}

// Ranks that divide the three experts: what lies whole in the file stays there, what lies in slices
// takes the memory of a share.
TEST_F(CheckpointTest, ARankThatDividesExpertsGetsItsOwn) {
  content_.optimizer.clear();
  for (const auto& [name, tensor] : content_.model) {
    content_.optimizer.emplace_back(kAveragePrefix + name, tensor * 2);
  }
  save(100);
  const NamedTensors whole = std::exchange(content_.model, {});
  int64_t share_bytes = 0;
  for (const auto& [name, tensor] : whole) {
    if (name.find(".experts.") == name.npos) {
      content_.model.emplace_back(name, tensor);
      continue;
    }
    const Tensor numbers = tensor.flatten();
    const int64_t cut = numbers.numel() / 5;
    content_.model.emplace_back(slice_name(name, 0), numbers.narrow(0, 0, cut));
    content_.model.emplace_back(slice_name(name, cut),
                                numbers.narrow(0, cut, numbers.numel() - cut));
    content_.sliced[name] = tensor.sizes().vec();
    share_bytes += static_cast<int64_t>(tensor.nbytes()) / 3;
  }
  save(200);
  EXPECT_GT(share_bytes, 0);
  count_tensor_memory();
  const auto expect_own = [&](const std::string& step, LoadFor purpose, double factor,
                              int64_t bytes) {
    for (const int64_t rank : {0, 2}) {
      const int64_t before = tensor_bytes();
      const LoadedCheckpoint loaded =
          load_checkpoint(run_ / step, at::kCPU, purpose, {.ranks = 3, .rank = rank});
      for (const Parameters::Item& item : loaded.model->parameters.items()) {
        EXPECT_TRUE(!is_of_experts(item) || item.tensor.size(0) == 1) << item.name;
      }
      EXPECT_EQ(tensor_bytes() - before, bytes) << step;
      for (const auto& [name, tensor] : whole) {
        const bool divided = name.find(".experts.") != name.npos;
        const Tensor expected = divided ? tensor.narrow(0, rank, 1) : tensor;
        EXPECT_TRUE(at::equal(loaded.model->parameters.at(name), expected * factor)) << name;
      }
    }
  };
  expect_own("step-000100", LoadFor::decoding, 1, 0);
  expect_own("step-000100", LoadFor::averages, 2, 0);
  expect_own("step-000200", LoadFor::computing, 1, share_bytes);
}

TEST_F(CheckpointTest, ExpertsThatCannotBeDividedAreRefused) {
  save(100);
  const auto refusal = [&](int64_t ranks) {
    return error_of(ErrorKind::usage, [&] {
      load_checkpoint(run_, at::kCPU, LoadFor::computing, {.ranks = ranks, .rank = 0});
    });
  };
  EXPECT_TRUE(contains(refusal(2), "--expert-ranks 2 does not divide the model's 3 experts"));
  content_.config.model.ffn = FeedForward::dense;
  const Model dense(content_.config.model);
  content_.model = named_tensors(dense.parameters);
  save(200);
  EXPECT_TRUE(contains(refusal(3), "the model has no experts to divide (model.ffn = \"dense\")"));
}

TEST_F(CheckpointTest, CarriesWhatDocumentsBeganAndEndedWith) {
  content_.documents = DocumentEnds{Share::some, Share::all};
  content_.state.erase("cursor");
  save(1);
  const LoadedCheckpoint loaded = load_checkpoint(run_, at::kCPU);
  EXPECT_EQ(loaded.documents, content_.documents);
  EXPECT_EQ(loaded.state.at("documents").dump(), R"({"bos":"some","eos":"all"})");
  EXPECT_FALSE(loaded.was_trained());
}

TEST_P(CheckpointOnDevice, OptimizerOnlyWhenAsked) {
  save(1);
  EXPECT_TRUE(load_checkpoint(run_, device()).optimizer.empty());
  EXPECT_TRUE(load_checkpoint(run_, device(), LoadFor::training).optimizer.empty());
  const TensorMap optimizer = load_checkpoint(run_, device(), LoadFor::resuming).optimizer;
  EXPECT_EQ(optimizer.at("step").item<int64_t>(), 12);
}

TEST_P(CheckpointOnDevice, CountsValuesThatAreNotFiniteInOneWarning) {
  for (auto& [name, tensor] : content_.model) {
    if (name != "norm.weight" && name != "embed.weight") continue;
    tensor = tensor.clone();
    tensor.view({-1})[2] = NAN;
  }
  content_.optimizer[0].second[7] = -INFINITY;
  const fs::path saved = save(1);
  const auto warning_of = [](const std::function<void()>& body) {
    testing::internal::CaptureStderr();
    body();
    return testing::internal::GetCapturedStderr();
  };
  const std::string model =
      "2 values in 2 tensors are not finite (1 in 'embed.weight', 1 in 'norm.weight')";
  const std::string first = ", the first nan in 'embed.weight' at [0,2]\n";
  const std::string prefix = "warning: " + saved.string() + ": ";
  EXPECT_EQ(warning_of([&] { load_checkpoint(run_, device()); }), prefix + model + first);
  EXPECT_EQ(warning_of([&] { EXPECT_EQ(verify_checkpoint(saved), Names{}); }),
            prefix + model + first);
  const std::string with_optimizer =
      warning_of([&] { load_checkpoint(run_, device(), LoadFor::resuming); });
  EXPECT_TRUE(contains(with_optimizer, "3 values in 3 tensors")) << with_optimizer;
  EXPECT_TRUE(contains(with_optimizer, "1 in 'embed.weight.exp_avg'")) << with_optimizer;
}

TEST_F(CheckpointTest, TokenizerAndOptimizerMayBeAbsent) {
  content_.tokenizer = nullptr;
  content_.optimizer.clear();
  const fs::path saved = save(0);
  EXPECT_EQ(names(saved),
            (Names{"config.toml", "manifest.json", "model.safetensors", "state.json"}));
  const LoadedCheckpoint loaded = load_checkpoint(saved, at::kCPU, LoadFor::resuming);
  EXPECT_EQ(loaded.tokenizer, nullptr);
  EXPECT_TRUE(loaded.optimizer.empty());
}

TEST_P(CheckpointOnDevice, SavingTwiceWritesTheSameBytes) {
  const fs::path saved = save(5);
  const std::string first = read_file(saved / kCheckpointManifestName);
  save(5);
  EXPECT_EQ(read_file(saved / kCheckpointManifestName), first);
  EXPECT_EQ(names(run_), (Names{"latest", "step-000005"}));
}

TEST_F(CheckpointTest, LatestFollowsTheNewest) {
  save(100);
  save(200);
  EXPECT_EQ(fs::read_symlink(run_ / "latest"), "step-000200");
  EXPECT_EQ(loaded(run_), run_ / "step-000200");
  EXPECT_EQ(loaded(run_ / "latest"), run_ / "step-000200");
  EXPECT_EQ(loaded(run_ / "step-000100"), run_ / "step-000100");
  EXPECT_EQ(loaded(run_ / "step-000100/"), run_ / "step-000100");
  EXPECT_EQ(load_checkpoint(run_ / "step-000100", at::kCPU).state["step"], 100);
}

TEST_F(CheckpointTest, NewestIsByNumberNotByName) {
  save(999'999);
  save(1'000'000);
  EXPECT_EQ(loaded(run_), run_ / "step-1000000");
}

TEST_P(CheckpointOnDevice, LargeTensorsGoToSeveralFiles) {
  content_.max_file_bytes = 4096;
  const fs::path saved = save(3);
  const Manifest manifest = read_manifest(saved);
  ASSERT_GT(manifest.model.size(), 2u);
  EXPECT_EQ(manifest.model[1], strprintf("model-00002-of-%05u.safetensors", manifest.model.size()));
  EXPECT_EQ(manifest.optimizer, (Names{"optimizer-00001-of-00002.safetensors",
                                       "optimizer-00002-of-00002.safetensors"}));
  const LoadedCheckpoint loaded = load_checkpoint(run_, device(), LoadFor::resuming);
  EXPECT_EQ(loaded.model->parameters.at("norm.weight").device(), device());
  expect_equal(as_map(named_tensors(loaded.model->parameters)), as_map(content_.model));
  expect_equal(loaded.optimizer, as_map(content_.optimizer));
}

TEST_F(CheckpointTest, OneFlippedByteIsFoundInEveryFile) {
  save(1);
  const fs::path saved = save(2);
  for (const std::string& name : names(saved)) {
    const fs::path path = saved / name;
    for (const uint64_t place : {uint64_t{0}, fs::file_size(path) / 2, fs::file_size(path) - 1}) {
      flip_byte(path, place);
      const auto faults = verify_checkpoint(saved);
      ASSERT_EQ(faults.size(), 1u) << name;
      EXPECT_TRUE(faults[0].starts_with(path.string() + ": bytes ")) << faults[0];
      const Names range = split(split(faults[0].substr(path.string().size() + 8), ':')[0], '-');
      ASSERT_EQ(range.size(), 2u) << faults[0];
      EXPECT_LE(parse_int(range[0]), place) << faults[0];
      EXPECT_GE(parse_int(range[1]), place) << faults[0];
      const std::string message =
          error_of(ErrorKind::data, [&] { load_checkpoint(saved, at::kCPU, LoadFor::resuming); });
      EXPECT_TRUE(contains(message, path.string() + ": bytes ")) << message;
      flip_byte(path, place);
    }
  }
  EXPECT_EQ(verify_checkpoint(saved), Names{});
}

TEST_F(CheckpointTest, DamageIsNarrowedToABlockAndItsTensor) {
  save(1);
  const fs::path saved = save(2);
  flip_byte(saved / "optimizer.safetensors", (1 << 20) + 5);
  const std::string expected = (saved / "optimizer.safetensors").string() +
                               ": bytes 1048576-2097151: checksum differs from the manifest's; "
                               "tensor embed.weight.exp_avg";
  EXPECT_EQ(verify_checkpoint(saved), Names{expected});
  const std::string message =
      error_of(ErrorKind::data, [&] { load_checkpoint(saved, at::kCPU, LoadFor::resuming); });
  EXPECT_TRUE(contains(message, expected)) << message;
  EXPECT_TRUE(contains(message, "use the checkpoint before it: " + (run_ / "step-000001").string()))
      << message;
  // The optimizer is not read for computing only.
  EXPECT_EQ(loaded(saved), saved);
}

// What the advice about a step directory names is what is taken when the run is given.
TEST_F(CheckpointTest, DamagedContentIsPassedOverLikeACutFile) {
  save(1);
  const fs::path saved = save(2);
  flip_byte(saved / "model.safetensors", 5000);
  fs::path found;
  const std::string warnings = warnings_of_load(found);
  EXPECT_EQ(found, run_ / "step-000001");
  EXPECT_TRUE(
      contains(warnings, "passed over a checkpoint: " + (saved / "model.safetensors").string() +
                             ": bytes 0-44303: checksum differs"))
      << warnings;
}

TEST_F(CheckpointTest, ARunWithoutAWholeCheckpointNamesTheDamage) {
  const fs::path saved = save(2);
  write_file_atomic(saved / "config.toml", read_file(saved / "config.toml") + "# a remark\n");
  std::string message = error_of(ErrorKind::data, [&] { loaded(run_); });
  EXPECT_TRUE(contains(message, run_.string() + ": its only checkpoint is damaged: " +
                                    (saved / "config.toml").string() + ": bytes"))
      << message;
  EXPECT_TRUE(contains(message,
                       "Restore the file from a copy; a checkpoint's configuration is "
                       "changed with --set"))
      << message;
  fs::remove(save(3) / "model.safetensors");
  message = error_of(ErrorKind::data, [&] { loaded(run_); });
  EXPECT_TRUE(contains(message, "all 2 checkpoints are damaged, the newest: " +
                                    (run_ / "step-000003/model.safetensors").string() +
                                    ": missing"))
      << message;
}

TEST_F(CheckpointTest, CutOffAndMissingFilesAreNamed) {
  const fs::path saved = save(2);
  const fs::path model = saved / "model.safetensors";
  const uint64_t size = fs::file_size(model);
  fs::resize_file(model, size - 10);
  EXPECT_EQ(verify_checkpoint(saved),
            Names{strprintf("%s: bytes %u-%u: cut off; %u bytes, expected %u", model, size - 10,
                            size - 1, size - 10, size)});
  fs::remove(model);
  EXPECT_TRUE(contains(verify_checkpoint(saved).at(0), model.string() + ": missing"));
}

TEST_F(CheckpointTest, PassesOverWhatIsNotWholeAndSaysWhy) {
  save(1);
  fs::remove(save(2) / kCheckpointManifestName);
  flip_byte(save(3) / kCheckpointManifestName, 30);
  fs::resize_file(save(4) / "model.safetensors", 100);
  fs::create_directory(run_ / ".step-000005.999999999.unfinished");
  fs::path found;
  const std::string warnings = warnings_of_load(found);
  EXPECT_EQ(found, run_ / "step-000001");
  EXPECT_TRUE(contains(warnings, "step-000002/manifest.json is missing")) << warnings;
  EXPECT_TRUE(contains(warnings, "step-000003/manifest.json: bytes 0-")) << warnings;
  EXPECT_TRUE(contains(warnings, "step-000004/model.safetensors: bytes 100-")) << warnings;
  EXPECT_TRUE(contains(warnings, "passed over an unfinished save " +
                                     (run_ / ".step-000005.999999999.unfinished").string()))
      << warnings;
  EXPECT_EQ(load_checkpoint(run_, at::kCPU).path, run_ / "step-000001");
}

TEST_F(CheckpointTest, SaysWhatIsThereInstead) {
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_checkpoint(run_, at::kCPU); }),
                       run_.string() + ": no such run or checkpoint directory"));
  fs::create_directories(run_);
  write_file_atomic(run_ / "metrics.jsonl", "{}\n");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_checkpoint(run_, at::kCPU); }),
                       "It holds: metrics.jsonl"));
  EXPECT_TRUE(contains(
      error_of(ErrorKind::data, [&] { load_checkpoint(run_ / "metrics.jsonl", at::kCPU); }),
      "not a directory"));
}

TEST_F(CheckpointTest, RefusesALaterVersion) {
  const fs::path saved = save(1);
  std::string text = read_file(saved / kCheckpointManifestName);
  text.replace(text.find("checkpoint/1"), 12, "checkpoint/9");
  const size_t digits = text.size() - 20;
  text.replace(digits, 16, checksum(std::string_view(text).substr(0, digits)));
  write_file_atomic(saved / kCheckpointManifestName, text);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_checkpoint(saved, at::kCPU); }),
                       "schema \"mythos.checkpoint/9\"; this version reads 'mythos.checkpoint/1'"));
}

TEST_F(CheckpointTest, FullDiskLeavesOlderCheckpointsAsTheyWere) {
  save(1);
  const Names before = names(run_);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small = {1 << 20, limit.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = error_of(ErrorKind::resources, [&] { save(2); });
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, handler);
  EXPECT_TRUE(contains(message, "optimizer.safetensors")) << message;
  EXPECT_TRUE(contains(message, "The checkpoint of step 2 was not saved")) << message;
  EXPECT_EQ(names(run_), before);
  EXPECT_EQ(fs::read_symlink(run_ / "latest"), "step-000001");
  EXPECT_EQ(verify_checkpoint(run_ / "step-000001"), Names{});
}

// Ends the process in the middle of a write, as kill -9 does: nothing gets to clean up.
TEST_F(CheckpointTest, KillDuringASaveLeavesTheLastWholeOne) {
  save(1);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, [](int) { raise(SIGKILL); });
    const rlimit small = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &small);
    save(2);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

  const fs::path leftover = run_ / strprintf(".step-000002.%d.unfinished", child);
  ASSERT_TRUE(fs::exists(leftover / "model.safetensors"));
  fs::path found;
  const std::string warnings = warnings_of_load(found);
  EXPECT_EQ(found, run_ / "step-000001");
  EXPECT_TRUE(contains(warnings, "passed over an unfinished save " + leftover.string()))
      << warnings;
  EXPECT_EQ(verify_checkpoint(found), Names{});
  prune_checkpoints(run_, 0);
  EXPECT_EQ(names(run_), (Names{"latest", "step-000001"}));
}

TEST_F(CheckpointTest, SaveInProgressElsewhereIsLeftAlone) {
  save(1);
  const fs::path busy = run_ / strprintf(".step-000002.%d.unfinished", getppid());
  fs::create_directory(busy);
  fs::path found;
  EXPECT_EQ(warnings_of_load(found), "");
  prune_checkpoints(run_, 1);
  EXPECT_TRUE(fs::exists(busy));
}

TEST_F(CheckpointTest, PruneKeepsTheNewestWholeOnes) {
  for (const int64_t step : {1, 2, 3, 4}) save(step);
  fs::remove(run_ / "step-000004" / kCheckpointManifestName);
  write_file_atomic(run_ / "metrics.jsonl", "{}\n");
  prune_checkpoints(run_, 0);
  EXPECT_EQ(names(run_).size(), 6u);
  prune_checkpoints(run_, 2);
  EXPECT_EQ(names(run_),
            (Names{"latest", "metrics.jsonl", "step-000002", "step-000003", "step-000004"}));
}

TEST_F(CheckpointTest, PruneKeepsMultiplesOfKeepEvery) {
  for (const int64_t step : {1, 2, 3, 4, 5}) save(step);
  prune_checkpoints(run_, 1, 2);
  EXPECT_EQ(names(run_), (Names{"latest", "step-000002", "step-000004", "step-000005"}));
}

TEST_F(CheckpointTest, PruneKeepsTheBest) {
  for (const int64_t step : {1, 2, 3, 4}) save(step);
  mark_best_checkpoint(run_, 2);
  EXPECT_EQ(loaded(run_ / "best"), run_ / "step-000002");
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names(run_), (Names{"best", "latest", "step-000002", "step-000004"}));
  mark_best_checkpoint(run_, 4);
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names(run_), (Names{"best", "latest", "step-000004"}));
}

TEST_F(CheckpointTest, WhatSomeoneLoadsIsNotPruned) {
  for (const int64_t step : {1, 2, 3}) save(step);
  FileLock reader;
  ASSERT_EQ(reader.shared(run_ / "step-000001" / kCheckpointManifestName),
            FileLock::Outcome::locked);
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names(run_), (Names{"latest", "step-000001", "step-000003"}));
  reader.release();
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names(run_), (Names{"latest", "step-000003"}));
}

// Readers that load while another process saves and prunes as fast as it can.
TEST_F(CheckpointTest, ReadersAreNotDisturbedByPruning) {
  save(1);
  const pid_t child = fork();
  if (child == 0) {
    for (int64_t step = 2; step < 60; ++step) {
      save(step);
      prune_checkpoints(run_, 1);
    }
    _exit(0);
  }
  int status = 0;
  int loads = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    const LoadedCheckpoint found = load_checkpoint(run_, at::kCPU, LoadFor::resuming);
    EXPECT_EQ(found.state.at("step"), *parse_int(found.path.filename().string().substr(5)));
    ++loads;
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_GT(loads, 0);
}

TEST_F(CheckpointTest, RemoveTakesEveryCheckpointAndNothingElse) {
  save(1);
  fs::remove(save(2) / kCheckpointManifestName);
  mark_best_checkpoint(run_, 1);
  write_file_atomic(run_ / "metrics.jsonl", "{}\n");
  remove_checkpoints(run_);
  EXPECT_EQ(names(run_), (Names{"metrics.jsonl"}));
}

INSTANTIATE_TEST_SUITE_P(Devices, CheckpointOnDevice, testing::ValuesIn(test_devices()),
                         device_name);

}  // namespace
}  // namespace mythos
