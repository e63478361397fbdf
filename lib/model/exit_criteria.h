#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "config/decode_config.h"
#include "config/model_config.h"

// What the exit rules compare with their threshold after a loop. `latent` and `kl` are this
// program's; the others are the criteria of Huginn's published code (Geiping et al. 2025, section
// 6). With h the state before and h' after the loop, p and p' the next-token distributions of them:
//
//   latent            ‖h' − h‖ / ‖h‖
//   latent_diff       ‖h' − h‖ / ‖h'‖
//   cosine            1 − cos(h', h)
//   kl                KL(p' ‖ p); infinite after the first loop
//   entropy_diff      |H(p') − H(p)| with H = −Σ p ln(p + 1e-10); H(p) = 100 in the first loop
//   huginn_kl         KL(p ‖ p'); p uniform in the first loop
//   minp_kl           KL(q ‖ q'), q made of p by setting every probability below 0.1 max p to 1/V
//                     and normalising; q uniform in the first loop
//   argmax_stability  loops in a row, the last one included, that left the likeliest token what it
//                     was; 0 after the first loop
//
// Divergences and cosine are not below 0, whatever rounding does: a threshold of 0 stops nothing.
// Huginn's code averages the state criteria over the positions of a call and applies the output
// criteria to its last position; here they are functions of one position. A position stops where
// the value is below the threshold, or, by argmax_stability, not below it.
namespace mythos {

// Fails (usage) where the model lacks the head that the rule asks.
void check_exit(const ModelConfig& config, ExitRule rule);

bool compares_states(ExitRule rule);
bool compares_outputs(ExitRule rule);

// before and after [...,D] fp32 → [...].
at::Tensor state_criterion(ExitRule rule, const at::Tensor& before, const at::Tensor& after);
// Logits [...,V] fp32 after the loop before (undefined in the first) and after this loop → [...].
// `last` is what this gave after the loop before.
at::Tensor output_criterion(ExitRule rule, const at::Tensor& before, const at::Tensor& after,
                            const at::Tensor& last);
// Whether positions stop, bool of value's shape.
at::Tensor meets(ExitRule rule, const at::Tensor& value, double threshold);

// A state criterion's value for one position. work: `width` floats.
double state_criterion(ExitRule rule, const float* before, const float* after, int64_t width,
                       float* work);
// `before` is null in the first loop.
double output_criterion(ExitRule rule, const float* before, const float* after, int64_t count,
                        double last);
bool meets(ExitRule rule, double value, double threshold);

}  // namespace mythos
