#include "train/length.h"

#include <algorithm>
#include <cmath>

#include "arch/plan.h"
#include "base/error.h"
#include "base/strings.h"
#include "config/loop_distribution.h"
#include "config/run_length.h"

namespace mythos {
namespace {

bool sets(const std::vector<std::string>& assignments, const std::string& key) {
  return std::ranges::any_of(assignments, [&](const std::string& assignment) {
    const std::string name(trim(split(assignment, '=')[0]));
    return name == key || name == "train." + key;
  });
}

}  // namespace

double training_flops_per_token(const Config& config) {
  const auto flops_at = [&](int64_t loops) {
    return training_flops(config, loops, config.train.seq_len);
  };
  const double mean = std::max(1.0, loop_distribution(config.train, config.model).mean);
  const auto below = static_cast<int64_t>(std::floor(mean));
  const double share = mean - std::floor(mean);
  return (1 - share) * flops_at(below) + (share > 0 ? share * flops_at(below + 1) : 0);
}

void settle_length(Config& config, const std::vector<std::string>& assignments,
                   double tokens_per_epoch) {
  TrainConfig& train = config.train;
  if (train.length.empty()) return;
  if (sets(assignments, "steps")) {
    if (sets(assignments, "length")) {
      fail(ErrorKind::usage, "train.steps and train.length both say how long the run is; give one");
    }
    train.length.clear();
    return;
  }
  config.validate();
  if (tokens_per_epoch == kUnknownTokens &&
      parse_run_length(train.length).unit == RunLength::Unit::epochs) {
    return;
  }
  LengthUnits units;
  units.tokens_per_step = static_cast<double>(train.tokens_per_step());
  units.tokens_per_epoch = tokens_per_epoch;
  units.flops_per_token = training_flops_per_token(config);
  train.steps = steps_of(train.length, units);
  if (train.warmup_steps <= train.steps) return;
  fail(
      ErrorKind::usage,
      strprintf("train.warmup_steps = %d is longer than the run: train.length = \"%s\" is %s %s of "
                "%s tokens.",
                train.warmup_steps, shown(train.length), with_commas(train.steps),
                train.steps == 1 ? "step" : "steps", with_commas(train.tokens_per_step())),
      "Set a shorter train.warmup_steps or a longer train.length");
}

}  // namespace mythos
