#pragma once
#include "config/train_config.h"
#include "train/blow_up.h"
#include "train/kept_checkpoints.h"
#include "train/loss_scaler.h"
#include "train/metrics.h"

// How a run ends whose model diverges: each failure (diverged) says where it was and what is left.
namespace mythos {

// The steps behind the sums that are looked at.
struct JudgedSteps {
  int64_t step = 0;       // the last
  bool just_one = false;  // whether only that one can be to blame
  double lr = 0, loops = 0;
};

// Fails if the sums of loss or gradient norm are not finite.
void require_finite(const Interval& interval, const JudgedSteps& steps,
                    const KeptCheckpoints& kept);

// Fails if gradients keep overflowing at the least loss scale.
void require_working_scale(LossScaler& scaler, int64_t step, const KeptCheckpoints& kept);

// Judges the mean loss of a new line of metrics: warns where a blow-up begins, and fails where it
// lasts, unless the configuration only wants warnings or the run ends anyway.
void watch_for_blow_up(BlowUpWatch& watch, double loss, int64_t step, const TrainConfig& config,
                       const KeptCheckpoints& kept);

// Fails for the run that ended, and was saved, with this loss.
[[noreturn]] void fail_blown_up(const BlowUpWatch& watch, double loss, const KeptCheckpoints& kept);

}  // namespace mythos
