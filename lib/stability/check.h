#pragma once
#include <string>

#include "checkpoint/checkpoint.h"
#include "stability/report.h"

namespace mythos {

struct StabilityOptions {
  std::string data;           // shards whose validation split the model runs on; "": random ids
  int64_t max_tokens = 2048;  // to run on
  int64_t loops = 0;          // to run; 0: twice model.max_loop_iters
  uint64_t seed = 1;          // of random ids and of initial weights
  StabilityThresholds thresholds;
};

// What `mythos stability-check` says of a checkpoint: weights, linear part, dynamics and verdict.
// Fails (data) when the shards are not of its tokenizer.
StabilityReport check_checkpoint(const LoadedCheckpoint& loaded, at::Device device,
                                 const StabilityOptions& options);

// The model of a preset as training would begin it. Where memory cannot hold it, a warning says so
// and the linear part alone is checked, which stands in few weights.
StabilityReport check_preset(const std::string& name, const Config& config, at::Device device,
                             const StabilityOptions& options);

}  // namespace mythos
