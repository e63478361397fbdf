#pragma once
#include <cstdint>

#include "config/config.h"

namespace mythos {

// The bytes that one rank sends in a step, by collective, as rings send them: among n ranks, a sum
// over ranks of b bytes sends 2b(n−1)/n, a reduce-scatter or an all-gather b(n−1)/n. With W the
// bytes of the fp32 weights, shares padded to one length:
//   replicated         a sum of W
//   sharded-optimizer  a reduce-scatter of W and an all-gather of W
//   fully-sharded      in every pass a reduce-scatter of W and an all-gather of W and of the blocks
//                      that are gathered again for the backward pass (gathered_again())
// With train.expert_ranks that is what all ranks hold; experts are summed, scattered and gathered
// over the ranks that hold the same ones.
// `agreement` is what ranks tell each other beside: targets, losses, loads of experts, norms.
struct StepVolume {
  int64_t sum = 0, reduce_scatter = 0, all_gather = 0;
  int64_t all_to_all = 0;  // exchange_bytes()
  int64_t agreement_sum = 0, agreement_all_gather = 0;
};

// A step in which all tensors are trained. `passes` are those over a rank's micro-batches, one for
// each number of loops where train.loops_per = sequence; the rank with most of them counts.
StepVolume step_volume(const Config& config, int64_t ranks, int64_t passes);

// The bytes of rows, and of their counts, that a rank sends to experts of other ranks in a step of
// `passes` passes with `tokens` tokens in all, if all experts are chosen equally often. In every
// loop and mixture k rows of a token go there and back, and in the backward pass their gradients
// do; what is recomputed is sent again.
int64_t exchange_bytes(const Config& config, int64_t ranks, int64_t loops, int64_t passes,
                       int64_t tokens, int64_t bytes_per_number);

// The bytes that a rank holds between steps: fp32 weights and gradients, and the optimizer's state,
// on the rank that has most.
struct RankState {
  int64_t weights = 0, gradients = 0, optimizer = 0;
};
RankState rank_state(const Config& config, int64_t ranks);

}  // namespace mythos
