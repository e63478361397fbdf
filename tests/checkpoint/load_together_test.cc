#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "../ranks.h"
#include "../scratch.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"
#include "sample.h"

namespace mythos {
namespace {

constexpr int kRanks = 3;

// Saves a checkpoint whose optimizer's state has three blocks, and whose tensors hold two values
// that are not finite.
fs::path save_sample(const fs::path& run, int64_t step) {
  Model model(sample_config(), at::kCPU);
  model.parameters.initialize(model.config, 7);
  CheckpointContent content;
  content.config.model = model.config;
  content.config.train.seq_len = 32;
  content.model = named_tensors(model.parameters);
  content.model[2].second.view({-1})[3] = std::numeric_limits<double>::quiet_NaN();
  content.optimizer = {{"embed.weight.exp_avg", at::arange(600'000).to(at::kFloat)},
                       {"step", at::tensor({step})}};
  content.optimizer[0].second[5] = std::numeric_limits<double>::infinity();
  content.state = {{"tokens", 4096}, {"cursor", {{"windows", 3}}}};
  return save_checkpoint(run, step, content);
}

// A folder that all ranks share, with a run of steps 1 and 2 of rank 0.
class SharedRun {
 public:
  explicit SharedRun(Ranks& ranks) {
    set_log_level(LogLevel::off);
    if (ranks.rank() == 0) {
      save_sample(own_ / "run", 1);
      save_sample(own_ / "run", 2);
    }
    run_ = ranks.gather((own_ / "run").string())[0];
  }
  const fs::path& run() const { return run_; }

 private:
  const Scratch own_;
  fs::path run_;
};

LoadedCheckpoint load(const fs::path& path, Ranks* together) {
  return load_checkpoint(path, at::kCPU, LoadFor::resuming, {}, together);
}

TEST(LoadTogether, AllRanksGetWhatOneGetsAlone) {
  on_ranks(kRanks, [](Ranks& ranks) {
    const SharedRun shared(ranks);
    const LoadedCheckpoint many = load(shared.run(), &ranks), one = load(shared.run(), nullptr);
    EXPECT_EQ(many.path, shared.run() / "step-000002");
    EXPECT_FALSE(one.nonfinite.none());
    EXPECT_EQ(many.nonfinite.count(), 2);
    EXPECT_EQ(many.nonfinite.text(), one.nonfinite.text());
    const auto& items = many.model->parameters.items();
    const auto& expected = one.model->parameters.items();
    ASSERT_EQ(items.size(), expected.size());
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_TRUE(at::allclose(items[i].tensor, expected[i].tensor, 0, 0, /*equal_nan=*/true));
    }
    ASSERT_EQ(many.optimizer.size(), one.optimizer.size());
    for (const auto& [name, tensor] : one.optimizer) {
      EXPECT_TRUE(at::equal(many.optimizer.at(name), tensor)) << name;
    }
    ranks.gather("");  // the folder stays until all have read it
  });
}

TEST(LoadTogether, DamageThatOneRankFindsCountsForAll) {
  on_ranks(kRanks, [](Ranks& ranks) {
    const SharedRun shared(ranks);
    const fs::path damaged = shared.run() / "step-000002", file = damaged / "optimizer.safetensors";
    if (ranks.rank() == 0) {
      flip_byte(file, 5000);
      flip_byte(file, fs::file_size(file) - 1);
    }
    ranks.gather("");
    EXPECT_EQ(load(shared.run(), &ranks).path, shared.run() / "step-000001");
    const std::string message = error_of(ErrorKind::data, [&] { load(damaged, &ranks); });
    EXPECT_TRUE(contains(message, file.string() + ": bytes 0-1048575: checksum differs"))
        << message;
    EXPECT_TRUE(contains(message, "(and 1 more)")) << message;
    EXPECT_EQ(message, error_of(ErrorKind::data, [&] { load(damaged, nullptr); }));
    ranks.gather("");
  });
}

TEST(LoadTogether, DifferentCheckpointsAreRefused) {
  on_ranks(kRanks, [](Ranks& ranks) {
    set_log_level(LogLevel::off);
    const Scratch own;
    save_sample(own / "run", ranks.rank() == 2 ? 7 : 8);
    const std::string message = error_of(ErrorKind::data, [&] { load(own / "run", &ranks); });
    EXPECT_TRUE(contains(message, "rank 0 has found step-000008, rank 2 step-000007")) << message;
  });
}

TEST(CheckFile, PartsShareTheBlocks) {
  const Scratch scratch;
  const fs::path saved = save_sample(scratch / "run", 1);
  const Manifest manifest = read_manifest(saved);
  flip_byte(saved / "optimizer.safetensors", 5000);
  for (const ManifestFile& file : manifest.files) {
    std::vector<uint64_t> read(2);
    std::vector<size_t> faults;
    for (uint64_t part = 0; part < 2; ++part) {
      faults.push_back(check_file(saved, manifest, file, {part, 2}, [&](uint64_t bytes) {
                         read[part] += bytes;
                       }).size());
    }
    EXPECT_EQ(read[0] + read[1], file.size_bytes) << file.name;
    const bool damaged = file.name == "optimizer.safetensors";
    EXPECT_EQ(faults, (std::vector<size_t>{damaged ? size_t{1} : 0, 0})) << file.name;
    if (damaged) {
      EXPECT_EQ(read[0], manifest.block_bytes);
    }
  }
}

}  // namespace
}  // namespace mythos
