#pragma once
#include <cstdint>
#include <vector>

#include "model/model.h"

namespace mythos {

// Statistics over the measured tokens of what loop t (counted from 1) does to the state h. Norms
// are root mean squares over the model width, ‖h‖/√D, so that models of different widths compare.
struct LoopStatistics {
  int64_t loop = 0;
  double state_mean = 0, state_max = 0;    // mean and largest ‖h_t‖/√D
  double change_mean = 0, change_max = 0;  // mean and largest ‖h_t − h_{t−1}‖/√D
  double relative_change = 0;  // mean of ‖h_t − h_{t−1}‖ / ‖h_{t−1}‖; NaN from a zero state
  // The ratio of this loop's change_mean to that of the loop before: below 1 the state settles. NaN
  // at loop 1 and if the loop before changed nothing.
  double contraction = 0;
  double cosine = 0;  // mean cosine of h_t and h_{t−1}; NaN from a zero state
  bool finite = true;
};

struct DynamicsReport {
  int64_t tokens = 0;
  int64_t reference_loop = 0;  // the loop from which growth is counted
  // The growth of the state from reference_loop to the last loop, as a factor: that of the mean or
  // of the largest token, whichever is more. NaN if a state is not finite.
  double growth = 0;
  int64_t first_nonfinite_loop = 0;  // 0 if there is none
  // Whether the hidden states after the coda and the last norm are finite.
  bool output_finite = true;
  std::vector<LoopStatistics> loops;  // fewer than asked for if halting ended them
};

// Runs the model for `loops` loops on each batch of ids [B,S] and measures the state after each
// loop. Growth counts from loop max_loop_iters, the depth that the model is made for, or from half
// the loops if fewer than twice that many run.
DynamicsReport measure_dynamics(const ModelConfig& config, const Weights& weights,
                                const std::vector<Tensor>& batches, int64_t loops);

}  // namespace mythos
