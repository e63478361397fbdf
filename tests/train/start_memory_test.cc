#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "../ranks.h"
#include "../shared_scratch.h"
#include "../small_data.h"
#include "arch/communication.h"
#include "arch/tensors.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "device/tensor_memory.h"
#include "tiny_run.h"

namespace mythos {
namespace {

// What the start of a run takes on each rank, and what the ranks' weights are then.

struct Case {
  std::string name;
  std::vector<std::string> assignments;
};
std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << one.name;
}

// Many layers, each small beside all of them; steps that change nothing.
Config layered(const Case& one) {
  Config config = tiny_run();
  for (const std::string text :
       {"model.dim=64", "model.vocab_size=300", "model.prelude_layers=6", "model.core_layers=4",
        "model.coda_layers=6", "model.max_loop_iters=1", "model.ffn=dense", "train.lr=0",
        "train.muon_lr=0", "train.balance_rate=0", "train.batch_size=4", "train.seq_len=16",
        "train.val_every=0", "train.save_every=0", "train.bucket_bytes=4096"}) {
    set_value(config, text);
  }
  for (const std::string& text : one.assignments) set_value(config, text);
  return config;
}

struct Sizes {
  int64_t whole = 0, largest = 0;  // bytes of all tensors, and of one
};
Sizes sizes_of(const ModelConfig& config) {
  Sizes sizes;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    sizes.whole += 4 * tensor.numel();
    sizes.largest = std::max(sizes.largest, 4 * tensor.numel());
  }
  return sizes;
}

// Trains up to `steps`, from the checkpoints of `run` if it has some, else from `init_from` if that
// is given. Gives the most that a rank's tensors hold before the first step, which is beyond what
// they hold between steps by less than `room`.
void start(const fs::path& directory, const Config& config, const std::string& run,
           const std::string& init_from, int64_t steps, Ranks& ranks, int64_t room) {
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  count_tensor_memory();
  TrainOptions options;
  options.config = config;
  options.assignments = {"train.steps=" + std::to_string(steps), "model.vocab_size=300"};
  options.data = {{directory / "shards", std::nullopt}};
  options.run = directory / run;
  options.device = "cpu";
  options.resume = true;
  options.ranks = &ranks;
  if (!init_from.empty()) options.init_from = directory / init_from;
  const int64_t before = tensor_bytes();
  take_most_tensor_bytes();
  int64_t most = 0;
  options.take_save_request = [&] {  // asked for first when a step begins
    if (most == 0) most = take_most_tensor_bytes() - before;
    return false;
  };
  train(options);
  const RankState state = rank_state(config, ranks.size());
  EXPECT_LT(most, state.weights + state.optimizer + room)
      << run << " up to step " << steps << ": weights " << state.weights << ", optimizer "
      << state.optimizer;
  EXPECT_GT(most, state.weights) << run;
}

void expect_initial_weights(const fs::path& run, const Config& config) {
  const LoadedCheckpoint loaded = load_checkpoint(run, at::kCPU);
  Parameters expected(config.model, at::kCPU);
  expected.initialize(config.model, static_cast<uint64_t>(config.train.seed));
  for (const Parameters::Item& item : expected.items()) {
    EXPECT_TRUE(at::equal(loaded.model->parameters.at(item.name), item.tensor)) << item.name;
  }
}

class Start : public testing::TestWithParam<Case> {};

// A new run, one resumed on other numbers of ranks, and one that begins with its weights.
TEST_P(Start, makes_one_tensor_at_a_time_whole) {
  const SharedScratch scratch;
  if (scratch.is_own()) write_small_shards(scratch.path() / "shards", 60);
  const Config config = layered(GetParam());
  const Sizes sizes = sizes_of(config.model);
  const int64_t room = sizes.whole / 8;
  ASSERT_LT(2 * sizes.largest, room);
  struct Job {
    int ranks = 1;
    std::string run, init_from;
    int64_t steps = 1;
  };
  for (const Job& job : {Job{4, "new", "", 1}, Job{2, "new", "", 2}, Job{4, "new", "", 3},
                         Job{4, "next", "new", 1}}) {
    on_ranks(job.ranks, [&](Ranks& ranks) {
      start(scratch.path(), config, job.run, job.init_from, job.steps, ranks, room);
    });
    if (scratch.is_own()) expect_initial_weights(scratch.path() / job.run, config);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, Start,
    testing::Values(
        Case{"fully", {"train.layout=fully-sharded"}},
        Case{"fully_with_muon",
             {"train.layout=fully-sharded", "train.optimizer=muon", "train.ema_decay=0.9"}},
        Case{"fully_partly_frozen",
             {"train.layout=fully-sharded", "train.freeze=embed.* prelude.0.*"}},
        Case{"optimizer", {"train.layout=sharded-optimizer"}},
        Case{"experts",
             {"model.ffn=moe", "model.n_experts=8", "model.expert_dim=32", "model.core_layers=12",
              "train.expert_ranks=2"}},
        Case{"experts_of_sharded_blocks",
             {"model.ffn=moe", "model.n_experts=8", "model.expert_dim=32", "model.core_layers=12",
              "train.expert_ranks=2", "train.layout=fully-sharded"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mythos
