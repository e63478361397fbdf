#pragma once
#include <cstdint>
#include <vector>

#include "model/model.h"

namespace mythos {

// What loop t (counted from 1) does to the state h, over the tokens measured. Norms are root mean
// squares over the model width, so that widths compare: ‖h‖/√D.
struct LoopStatistics {
  int64_t loop = 0;
  double state_mean = 0, state_max = 0;    // of ‖h_t‖/√D: mean and largest over tokens
  double change_mean = 0, change_max = 0;  // of ‖h_t − h_{t−1}‖/√D
  double relative_change = 0;  // mean of ‖h_t − h_{t−1}‖ / ‖h_{t−1}‖; NaN from a zero state
  // change_mean of this loop over that of the loop before: below 1 the state settles. NaN at loop 1
  // and when the change before was 0.
  double contraction = 0;
  double cosine = 0;  // mean cosine of h_t and h_{t−1}; NaN from a zero state
  bool finite = true;
};

struct DynamicsReport {
  int64_t tokens = 0;
  int64_t reference_loop = 0;  // where growth is counted from
  // Of the state from reference_loop to the last loop: the mean's or the largest token's, whichever
  // is more. NaN when a state is not finite.
  double growth = 0;
  int64_t first_nonfinite_loop = 0;   // 0: none
  bool output_finite = true;          // the hidden states behind the coda and the last norm
  std::vector<LoopStatistics> loops;  // fewer than asked for when halting ended them
};

// Runs the model for `loops` loops on each batch of ids [B,S] and watches the state. Growth counts
// from loop max_loop_iters, the depth the model is made for, or from half the loops if fewer than
// twice that many run.
DynamicsReport measure_dynamics(const ModelConfig& config, const Weights& weights,
                                const std::vector<Tensor>& batches, int64_t loops);

}  // namespace mythos
