#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"

namespace mythos {

// A key whose values differ between two configurations; the values as TOML writes them.
struct ConfigChange {
  std::string key;  // "train.lr"
  std::string before, after;
};
std::vector<ConfigChange> config_changes(const Config& before, const Config& after);

// "train.lr = 0.001 instead of 0.003, train.steps = 800 instead of 400"
std::string describe(const std::vector<ConfigChange>& changes);

// The changes to keys that a run cannot change when it is resumed, because its weights, the
// optimizer's state or the order of its data depend on them: all of [model], train.optimizer,
// train.seed, train.seq_len, train.packing, and with best-fit packing whether attention is kept
// within documents.
std::vector<ConfigChange> fixed_changes(const Config& before, const Config& after);

// Says how far the learning rate jumps if a run goes on at `step` with another [train]; empty if
// the new rate is within a quarter of the planned one.
std::string learning_rate_jump(const TrainConfig& before, const TrainConfig& after, int64_t step);

}  // namespace mythos
