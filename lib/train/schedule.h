#pragma once
#include <cstdint>
#include <vector>

#include "config/loop_distribution.h"

namespace mythos {

// The learning rate of a step as a share of the peak, 0 ≤ step < config.steps. Linear warm-up
// reaches the peak at the last warm-up step. The schedule after that:
//   cosine           half a cosine (Loshchilov and Hutter 2017)
//   linear-cooldown  the peak, then a straight line over the last cooldown_fraction of the steps
//                    (Hägele et al. 2024)
//   wsd              the peak (warm-up, stable, decay; Hu et al. 2024), then 1 − sqrt(share done)
//                    over the last cooldown_fraction of the steps (Hägele et al. 2024)
//   inverse-sqrt     sqrt(warmup_steps/(step+1)), or without warm-up that of 1 warm-up step
//                    (Vaswani et al. 2017); the run's length does not change it
//   constant         the peak to the end
// The first three end with min_lr_ratio at the last step, inverse-sqrt never falls below it, and
// `constant` takes no notice of it.
double schedule_factor(const TrainConfig& config, int64_t step);
// The learning rate of AdamW's tensors, unless their group has another: lr·schedule_factor().
double learning_rate(const TrainConfig& config, int64_t step);

// The distribution that a step's loops are drawn from, 0 ≤ step: that of the whole run once
// loop_curriculum_fraction of the steps are done, and before that one which grows from a single
// loop (grown_distribution) with the share x of those steps:
//   linear  by x
//   1-sqrt  by 1 − √(1 − x): slowly first, then faster (McLeish et al. 2025, arXiv 2511.07384,
//           who round the whole mean times that up; here it grows from 1 without steps)
LoopDistribution distribution_of_step(const LoopDistribution& whole, const TrainConfig& config,
                                      int64_t step);

// The number of loops of a step; every micro-batch of the step runs the same number. A model
// trained at one fixed depth degrades at every other depth, so the depth is drawn anew for each
// step (Geiping et al. 2025, section 3.3; Parcae, Prairie et al. 2026):
//   poisson            1 + Poisson(mean − 1), cut at max
//   lognormal-poisson  1 + Poisson(exp τ), τ normal with mean log(mean) − sigma²/2 and deviation
//                      sigma, cut at max; before the cut its mean is 1 + mean (Geiping et al.)
//   uniform            every number from min to max is equally likely; both are equally far from
//                      the mean
//   fixed              the mean, rounded
//   set                one of the counts, equally likely
// The number depends on (seed, step) alone, so a resumed run draws what it would have drawn.
int64_t loops_of_step(const LoopDistribution& distribution, uint64_t seed, int64_t step);

// The number of loops of each of a step's `count` sequences, in the order in which they are drawn
// from the data: a draw for each where the distribution is that of sequences, else that of the
// step. A sequence's number depends on (seed, step, its index) alone.
std::vector<int64_t> loops_of_sequences(const LoopDistribution& distribution, uint64_t seed,
                                        int64_t step, int64_t count);

}  // namespace mythos
