#include "train/divergence.h"

#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"

namespace mythos {

void require_finite(const Interval& interval, const JudgedSteps& steps,
                    const KeptCheckpoints& kept) {
  if (std::isfinite(interval.nats) && std::isfinite(interval.grad_norm)) return;
  const bool loss = !std::isfinite(interval.nats);
  const std::string where =
      steps.just_one ? strprintf("at step %d", steps.step)
                     : strprintf("in steps %d to %d", steps.step - interval.steps + 1, steps.step);
  fail(ErrorKind::diverged,
       strprintf("training diverged: the %s is not finite %s (lr %.2e, %g loops).",
                 loss ? "loss" : "gradient norm", where, steps.lr, steps.loops),
       kept.text() +
           "; try a lower train.lr, a longer train.warmup_steps or a smaller train.clip_norm");
}

void require_working_scale(LossScaler& scaler, int64_t step, const KeptCheckpoints& kept) {
  if (scaler.read_stuck_steps() < LossScaler::kPatienceSteps) return;
  fail(ErrorKind::diverged,
       strprintf("training diverged: up to step %d the gradients of %d steps in a row are not "
                 "finite in fp16, though the loss scale is %g, its least.",
                 step, scaler.read_stuck_steps(), LossScaler::kLeast),
       kept.text() + "; try train.compute_type=bf16 or fp32, or a lower train.lr");
}

void watch_for_blow_up(BlowUpWatch& watch, double loss, int64_t step, const TrainConfig& config,
                       const KeptCheckpoints& kept) {
  using Verdict = BlowUpWatch::Verdict;
  const Verdict verdict = watch.judge(step, loss);
  const std::string what = strprintf(
      "the loss at step %d, %.4g nats, is far above the lowest, %.4g", step, loss, watch.lowest());
  if (verdict == Verdict::begins) log_warning(what);
  if (verdict != Verdict::lasts || step == config.steps || config.on_blow_up == OnBlowUp::warn) {
    return;
  }
  fail(ErrorKind::diverged,
       strprintf("training diverged: %s, and has been for %d steps.", what, watch.steps()),
       kept.text() +
           "; try a lower train.lr or a longer train.warmup_steps, or go on regardless with --set "
           "train.on_blow_up=warn");
}

void fail_blown_up(const BlowUpWatch& watch, double loss, const KeptCheckpoints& kept) {
  fail(ErrorKind::diverged,
       strprintf("training diverged: the last loss, %.4g nats, is far above %s.", loss,
                 watch.lowest() < loss ? strprintf("the lowest, %.4g", watch.lowest())
                                       : "that of the uniform distribution"),
       "It was saved as " + kept.newest().string() +
           (kept.best_step() ? ", and the best checkpoint is " + kept.best().string() : "") +
           "; try a lower train.lr or a longer train.warmup_steps");
}

}  // namespace mythos
