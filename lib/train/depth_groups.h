#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/sample/sampler.h"

namespace mythos {

// Sequences of a step that go through the model together.
struct DepthGroup {
  Batch batch;
  int64_t loops = 0;
  // The seed of each sequence's random first state (model/initial_state.h); empty where it is not
  // random.
  std::vector<int32_t> state_seeds = {};
};

// The sequences of a step's micro-batches as groups of equal depth; `loops`, and `state_seeds`
// unless it is empty, have a number for each sequence, in order. If all are equal, the groups are
// the micro-batches. Otherwise those of the fewest loops come first, in their order, and a group
// has as many sequences at most as the first micro-batch has, so that it takes no more memory than
// a micro-batch would.
std::vector<DepthGroup> depth_groups(const std::vector<Batch>& micro_batches,
                                     std::span<const int64_t> loops,
                                     std::span<const int32_t> state_seeds = {});

// The seeds of the random first states of a step's `count` sequences: functions of (seed, step,
// index of the sequence) alone.
std::vector<int32_t> state_seeds_of_step(uint64_t seed, int64_t step, int64_t count);

// The mean of `loops`, which must not be empty.
double mean_loops(std::span<const int64_t> loops);

}  // namespace mythos
