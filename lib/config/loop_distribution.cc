#include "config/loop_distribution.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Describes a distribution: "1 to 16 loops a step (poisson, mean 8)", "8 loops in every step".
std::string range_text(const LoopDistribution& loops) {
  if (loops.min == loops.max) {
    return strprintf("%d %s in every step", loops.max, loops.max == 1 ? "loop" : "loops");
  }
  return strprintf("%d to %d loops a step (%s, mean %g)", loops.min, loops.max,
                   enum_name(loops.kind), loops.mean);
}

}  // namespace

LoopDistribution loop_distribution(const TrainConfig& train, const ModelConfig& model) {
  LoopDistribution out;
  out.kind = train.loop_sampling;
  out.mean = train.mean_loops > 0 ? train.mean_loops : static_cast<double>(model.max_loop_iters);
  const auto doubled = std::max<int64_t>(2, std::llround(2 * out.mean));
  out.max = train.max_sampled_loops > 0 ? train.max_sampled_loops : doubled;
  if (out.kind == LoopSampling::poisson && out.mean <= 1) out.max = 1;
  if (out.kind == LoopSampling::uniform) {
    out.max = std::min(out.max, doubled - 1);
    out.min = std::max<int64_t>(1, doubled - out.max);
  }
  if (out.kind == LoopSampling::fixed) {
    out.min = out.max = std::llround(out.mean);
    out.mean = static_cast<double>(out.max);
  }
  return out;
}

DepthWarning::DepthWarning(const TrainConfig& train, const ModelConfig& model, bool trained)
    : loops_(loop_distribution(train, model)), trained_(trained) {
  if (!trained) loops_ = {LoopSampling::fixed, 1, 1, model.max_loop_iters};
}

void DepthWarning::check(int64_t loops) {
  if (loops < loops_.min || loops > loops_.max) warn(loops);
}

void DepthWarning::check_most(int64_t loops) {
  if (loops > loops_.max) warn(loops);
}

void DepthWarning::warn(int64_t loops) {
  if (warned_) return;
  warned_ = true;
  log_warning(trained_
                  ? strprintf("%d loops are outside the training's %s: quality may fall", loops,
                              range_text(loops_))
                  : strprintf("%d loops are more than model.max_loop_iters = %d, which is all that "
                              "an imported model tells of its training: quality may fall",
                              loops, loops_.max));
}

}  // namespace mythos
