#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "base/files.h"

namespace mythos {

// The step directories of checkpoint_directories(). Fails (data) when there is none.
std::vector<fs::path> require_checkpoints(const fs::path& path);

// One checkpoint as `mythos checkpoint list` shows it, read without its tensors.
struct CheckpointSummary {
  fs::path directory;
  // Numbers, or null where neither state.json nor the run's metrics tell them. The loss is that of
  // the newest validation up to this step.
  nlohmann::json step, tokens, val_loss, val_bpb;
  bool best = false;   // the run's link "best" leads to it
  uint64_t bytes = 0;  // of its files
};

// Lists the checkpoints of a run in the order of their steps, or one step directory. A step is
// saved before it is validated, so validations come from the run's metrics.jsonl if that has them.
// Fails as require_checkpoints() does.
std::vector<CheckpointSummary> list_checkpoints(const fs::path& run);

}  // namespace mythos
