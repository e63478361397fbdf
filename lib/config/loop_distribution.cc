#include "config/loop_distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/log.h"
#include "base/strings.h"
#include "config/config.h"
#include "config/field_value.h"

namespace mythos {
namespace {

constexpr int64_t kMostLoops = 1 << 20;

// Describes a distribution: "1 to 16 loops a step (poisson, mean 8)", "8 loops in every step",
// "1, 4 or 8 loops a sequence (set)".
std::string range_text(const LoopDistribution& loops) {
  if (loops.min == loops.max) {
    return strprintf("%d %s in every step", loops.max, loops.max == 1 ? "loop" : "loops");
  }
  const std::string_view per = enum_name(loops.per);
  if (loops.kind != LoopSampling::set) {
    return strprintf("%d to %d loops a %s (%s, mean %g)", loops.min, loops.max, per,
                     enum_name(loops.kind), loops.mean);
  }
  std::vector<int64_t> counts = loops.counts;
  std::ranges::sort(counts);
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  std::string text;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (i > 0) text += i + 1 == counts.size() ? " or " : ", ";
    text += std::to_string(counts[i]);
  }
  return strprintf("%s loops a %s (set)", text, per);
}

}  // namespace

std::vector<int64_t> parse_loop_set(const std::string& text) {
  std::vector<int64_t> counts;
  for (const std::string& word : split(text, ' ')) {
    if (trim(word).empty()) continue;
    const std::optional<int64_t> count = parse_int(trim(word));
    if (!count || *count < 1 || *count > kMostLoops) {
      fail_value("", "train.loop_set", show(text),
                 strprintf("\"%s\" is not a loop count; whole numbers from 1 to %d, separated by "
                           "spaces, as in \"1 2 4 8\"",
                           word, kMostLoops));
    }
    counts.push_back(*count);
  }
  return counts;
}

LoopDistribution loop_distribution(const TrainConfig& train, const ModelConfig& model) {
  LoopDistribution out;
  out.kind = train.loop_sampling;
  out.per = train.loops_per;
  if (out.kind == LoopSampling::set) {
    out.counts = parse_loop_set(train.loop_set);
    out.min = std::ranges::min(out.counts);
    out.max = std::ranges::max(out.counts);
    out.mean = std::accumulate(out.counts.begin(), out.counts.end(), 0.0) /
               static_cast<double>(out.counts.size());
    return out;
  }
  if (out.kind == LoopSampling::lognormal_poisson) out.sigma = train.loop_sigma;
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

LoopDistribution grown_distribution(const LoopDistribution& whole, double grown) {
  if (grown >= 1) return whole;
  const auto of = [&](double loops) { return 1 + (loops - 1) * grown; };
  const auto count = [&](int64_t loops) {
    return static_cast<int64_t>(std::llround(of(static_cast<double>(loops))));
  };
  LoopDistribution out = whole;
  out.mean = of(whole.mean);
  out.min = count(whole.min);
  out.max = count(whole.max);
  if (out.kind == LoopSampling::set) {
    out.min = whole.min;
    out.max = std::max(out.min, out.max);
    std::erase_if(out.counts, [&](int64_t loops) { return loops > out.max; });
  }
  return out;
}

int64_t backprop_loops(const Config& config) {
  const int64_t asked = config.train.backprop_loops;
  const bool needs_all = config.model.halting != Halting::none ||
                         config.model.injection == Injection::none ||
                         config.objectives.per_loop > 0;
  if (asked >= 0 || needs_all) return std::max<int64_t>(0, asked);
  const LoopDistribution loops = loop_distribution(config.train, config.model);
  const auto half = std::max<int64_t>(1, std::llround(std::ceil(loops.mean / 2)));
  return half < loops.max ? half : 0;
}

DepthWarning::DepthWarning(const TrainConfig& train, const ModelConfig& model, bool trained)
    : loops_(loop_distribution(train, model)), trained_(trained) {
  if (!trained) loops_ = {LoopSampling::fixed, 1, 1, model.max_loop_iters, 0, {}, LoopsPer::step};
}

void DepthWarning::check(int64_t loops) {
  const bool in_range = loops >= loops_.min && loops <= loops_.max;
  const bool drawn = loops_.kind != LoopSampling::set ||
                     std::ranges::find(loops_.counts, loops) != loops_.counts.end();
  if (!in_range || !drawn) warn(loops);
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
