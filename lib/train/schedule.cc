#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/rng.h"

namespace mythos {
namespace {

constexpr uint64_t kLoopStream = 0x6c6f6f7073;
// The stream of a step's first sequence; each further sequence has the next one.
constexpr uint64_t kSequenceLoopStream = 0x6c6f6f7073657100;
// Each step has so many random numbers of its own, more than the longest Poisson draw takes.
constexpr uint64_t kNumbersPerStep = 1 << 24;

// The share of steps first … steps-1 that is done after `step`; 1 at the last step.
double share_done(int64_t step, int64_t first, int64_t steps) {
  if (step < first) return 0;
  return std::min(1.0, static_cast<double>(step + 1 - first) / static_cast<double>(steps - first));
}

// A normally distributed number (Box and Muller 1958).
double normal(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng.uniform());
}

int64_t draw(const LoopDistribution& distribution, Rng rng) {
  const auto below = [&](size_t count) {
    return static_cast<int64_t>(rng.below(static_cast<uint64_t>(count)));
  };
  switch (distribution.kind) {
    case LoopSampling::poisson:
      return std::min(distribution.max, 1 + rng.poisson(distribution.mean - 1));
    case LoopSampling::lognormal_poisson: {
      const double sigma = distribution.sigma;
      const double log_mean = std::log(distribution.mean) - sigma * sigma / 2;
      // A rate far beyond max leads to max; drawing it would only take long.
      const double most = 4 * static_cast<double>(distribution.max) + 100;
      const double rate = std::min(most, std::exp(log_mean + sigma * normal(rng)));
      return std::min(distribution.max, 1 + rng.poisson(rate));
    }
    case LoopSampling::uniform:
      return distribution.min + below(static_cast<size_t>(distribution.max - distribution.min + 1));
    case LoopSampling::set:
      return distribution.counts[static_cast<size_t>(below(distribution.counts.size()))];
    case LoopSampling::fixed:
      break;
  }
  return distribution.max;
}

}  // namespace

double schedule_factor(const TrainConfig& config, int64_t step) {
  if (step < config.warmup_steps) {
    return static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps);
  }
  const double lowest = config.min_lr_ratio, above = 1 - lowest;
  const auto cooldown = static_cast<int64_t>(
      std::llround(config.cooldown_fraction * static_cast<double>(config.steps)));
  const int64_t falls_from = std::max(config.warmup_steps, config.steps - cooldown);
  switch (config.schedule) {
    case Schedule::cosine: {
      const double done = share_done(step, config.warmup_steps, config.steps);
      return lowest + above * 0.5 * (1 + std::cos(std::numbers::pi * done));
    }
    case Schedule::linear_cooldown:
      return 1 - above * share_done(step, falls_from, config.steps);
    case Schedule::wsd:
      return 1 - above * std::sqrt(share_done(step, falls_from, config.steps));
    case Schedule::inverse_sqrt: {
      const auto warmup = static_cast<double>(std::max<int64_t>(1, config.warmup_steps));
      return std::max(lowest, std::sqrt(warmup / static_cast<double>(step + 1)));
    }
    case Schedule::constant:
      break;
  }
  return 1;
}

double learning_rate(const TrainConfig& config, int64_t step) {
  return config.lr * schedule_factor(config, step);
}

LoopDistribution distribution_of_step(const LoopDistribution& whole, const TrainConfig& config,
                                      int64_t step) {
  const double growth = config.loop_curriculum_fraction * static_cast<double>(config.steps);
  const double done = static_cast<double>(step);
  if (config.loop_curriculum == LoopCurriculum::none || done >= growth) return whole;
  const double share = done / growth;
  const bool linear = config.loop_curriculum == LoopCurriculum::linear;
  return grown_distribution(whole, linear ? share : 1 - std::sqrt(1 - share));
}

int64_t loops_of_step(const LoopDistribution& distribution, uint64_t seed, int64_t step) {
  return draw(distribution, Rng(seed, kLoopStream, static_cast<uint64_t>(step) * kNumbersPerStep));
}

std::vector<int64_t> loops_of_sequences(const LoopDistribution& distribution, uint64_t seed,
                                        int64_t step, int64_t count) {
  if (distribution.per == LoopsPer::step) {
    return std::vector<int64_t>(static_cast<size_t>(count),
                                loops_of_step(distribution, seed, step));
  }
  std::vector<int64_t> loops;
  for (int64_t i = 0; i < count; ++i) {
    loops.push_back(draw(distribution, Rng(seed, kSequenceLoopStream + static_cast<uint64_t>(i),
                                           static_cast<uint64_t>(step) * kNumbersPerStep)));
  }
  return loops;
}

}  // namespace mythos
