#pragma once
#include <cstdint>

#include "config/loop_distribution.h"

namespace mythos {

// The learning rate of a step, 0 ≤ step < config.steps. Linear warm-up reaches the peak at the last
// warm-up step. The schedule after that ends with lr·min_lr_ratio at the last step (but for
// `constant`):
//   cosine           half a cosine (Loshchilov and Hutter 2017)
//   linear-cooldown  the peak, then a straight line over the last cooldown_fraction of the steps
//                    (Hägele et al. 2024)
//   constant         the peak to the end
double learning_rate(const TrainConfig& config, int64_t step);

// The number of loops of a step; every micro-batch of the step runs the same number. A model
// trained at one fixed depth degrades at every other depth, so the depth is drawn anew for each
// step (Geiping et al. 2025, section 3.3; Parcae, Prairie et al. 2026):
//   poisson  1 + Poisson(mean − 1), cut at max
//   uniform  every number from min to max is equally likely; both are equally far from the mean
//   fixed    the mean, rounded
// The number depends on (seed, step) alone, so a resumed run draws what it would have drawn.
int64_t loops_of_step(const LoopDistribution& distribution, uint64_t seed, int64_t step);

}  // namespace mythos
