#pragma once
#include "arch/communication.h"
#include "arch/plan.h"

namespace mythos {

// What one of `ranks` ranks holds at the peak of a training step, beside programs and libraries; of
// all ranks the one that has most. With one rank it is what a process holds that trains alone.
struct RankMemory {
  RankState state;  // between steps, with gradients
  // fully-sharded: the blocks that are there or under way while a pass runs, their weights in fp32
  // and the compute type, and their gradients.
  int64_t pass_weights = 0;
  int64_t copies = 0;       // otherwise: all matrices in the compute type, where that is not fp32
  int64_t activations = 0;  // of a micro-batch (activation_bytes())
  // Gradients that are copied to be sent: what they take beyond the room that activations leave
  // behind the backward pass.
  int64_t messages = 0;
  // Muon's update: what it takes beyond the room that all these but the state leave behind.
  int64_t update = 0;

  int64_t total() const;
};

// In the layout train.layout; `shape` is that of a rank's micro-batch.
RankMemory rank_memory(const Config& config, int64_t ranks, const StepShape& shape);

// A rank's micro-batch of `loops` loops, in numbers of this size. Ranks must divide the sequences
// of a step.
StepShape rank_step_shape(const Config& config, int64_t ranks, int64_t loops,
                          int64_t bytes_per_number);

}  // namespace mythos
