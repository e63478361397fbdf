#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/rng.h"

namespace mythos {
namespace {

constexpr uint64_t kLoopStream = 0x6c6f6f7073;
// Each step has so many random numbers of its own, more than the longest Poisson draw takes.
constexpr uint64_t kNumbersPerStep = 1 << 24;

// The share of steps first … steps-1 that is done after `step`; 1 at the last step.
double share_done(int64_t step, int64_t first, int64_t steps) {
  if (step < first) return 0;
  return std::min(1.0, static_cast<double>(step + 1 - first) / static_cast<double>(steps - first));
}

}  // namespace

double learning_rate(const TrainConfig& config, int64_t step) {
  if (step < config.warmup_steps) {
    return config.lr * static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps);
  }
  const double lowest = config.lr * config.min_lr_ratio;
  switch (config.schedule) {
    case Schedule::cosine: {
      const double done = share_done(step, config.warmup_steps, config.steps);
      return lowest + (config.lr - lowest) * 0.5 * (1 + std::cos(std::numbers::pi * done));
    }
    case Schedule::linear_cooldown: {
      const auto cooldown = static_cast<int64_t>(
          std::llround(config.cooldown_fraction * static_cast<double>(config.steps)));
      const int64_t first = std::max(config.warmup_steps, config.steps - cooldown);
      return config.lr + (lowest - config.lr) * share_done(step, first, config.steps);
    }
    case Schedule::constant:
      break;
  }
  return config.lr;
}

int64_t loops_of_step(const LoopDistribution& distribution, uint64_t seed, int64_t step) {
  Rng rng(seed, kLoopStream, static_cast<uint64_t>(step) * kNumbersPerStep);
  switch (distribution.kind) {
    case LoopSampling::poisson:
      return std::min(distribution.max, 1 + rng.poisson(distribution.mean - 1));
    case LoopSampling::uniform:
      return distribution.min + static_cast<int64_t>(rng.below(static_cast<uint64_t>(
                                    distribution.max - distribution.min + 1)));
    case LoopSampling::fixed:
      break;
  }
  return distribution.max;
}

}  // namespace mythos
