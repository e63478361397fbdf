#pragma once
#include <ATen/Parallel.h>

#include <string>
#include <vector>

#include "arch/rank_memory.h"
#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "device/device.h"
#include "device/tensor_memory.h"
#include "dist/ranks.h"
#include "train/trainer.h"

namespace mythos {

// A rank's memory in a run of some steps, as planned and as measured: the most that its tensors
// hold from the end of one backward pass to that of the next.
struct RunMemory {
  int64_t planned = 0, measured = 0;
  double ratio() const { return static_cast<double>(planned) / static_cast<double>(measured); }
};

// Trains `config` with a fixed number of loops on DIRECTORY/shards; nothing is saved. `ranks` may
// be null.
inline RunMemory run_memory(const fs::path& directory, Config config, int64_t loops, Ranks* ranks) {
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  count_tensor_memory();
  config.train.loop_sampling = LoopSampling::fixed;
  config.train.mean_loops = static_cast<double>(loops);
  TrainOptions options;
  options.config = config;
  options.assignments = {
      "train.steps=9",        "train.warmup_steps=0",
      "train.log_every=1000", "train.save_every=0",
      "train.val_every=0",    "model.vocab_size=" + std::to_string(config.model.vocab_size)};
  options.data = {{directory / "shards", std::nullopt}};
  options.run = directory / "run";
  options.device = "cpu";
  options.overwrite = true;
  options.ranks = ranks;
  RunMemory memory;
  const int64_t before = tensor_bytes();
  options.after_backward = [&](int64_t step, const Parameters&) {
    memory.measured = take_most_tensor_bytes() - before;
    if (step == 2) fail(ErrorKind::diverged, "measured");  // an end without a checkpoint
  };
  try {
    train(options);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::diverged) throw;
  }
  const bool narrow = training_compute_type(config.train.compute_type, at::kCPU) != at::kFloat;
  const int64_t size = ranks ? ranks->size() : 1;
  memory.planned =
      rank_memory(config, size, rank_step_shape(config, size, loops, narrow ? 2 : 4)).total();
  return memory;
}

}  // namespace mythos
