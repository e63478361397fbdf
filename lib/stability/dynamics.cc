#include "stability/dynamics.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/progress.h"

namespace mythos {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The norms along the last dimension, in fp64, where no square of an fp32 number overflows.
Tensor norms(const Tensor& x) {
  return at::linalg_vector_norm(x, 2, -1);
}

// The sums over all tokens of one loop.
struct Sums {
  double state = 0, state_max = 0, change = 0, change_max = 0, relative = 0, cosine = 0;
  int64_t tokens = 0;
  bool finite = true;

  void add(const Tensor& before, const Tensor& after) {
    const Tensor h0 = before.to(at::kDouble), h1 = after.to(at::kDouble);
    const double root_dim = std::sqrt(static_cast<double>(h1.size(-1)));
    const Tensor norm0 = norms(h0), norm1 = norms(h1), change_norm = norms(h1 - h0);
    state += norm1.sum().item<double>() / root_dim;
    change += change_norm.sum().item<double>() / root_dim;
    relative += (change_norm / norm0).sum().item<double>();
    cosine += ((h0 * h1).sum(-1) / (norm0 * norm1)).sum().item<double>();
    state_max = std::max(state_max, norm1.max().item<double>() / root_dim);
    change_max = std::max(change_max, change_norm.max().item<double>() / root_dim);
    tokens += norm1.numel();
    finite = finite && std::isfinite(state);
  }
};

double finite_or_nan(double x) {
  return std::isfinite(x) ? x : kNan;
}

LoopStatistics statistics(const Sums& sums, int64_t loop, const Sums* previous) {
  const auto n = static_cast<double>(sums.tokens);
  LoopStatistics out;
  out.loop = loop;
  out.finite = sums.finite;
  out.state_mean = sums.state / n;
  out.state_max = sums.finite ? sums.state_max : kNan;
  out.change_mean = sums.change / n;
  out.change_max = sums.finite ? sums.change_max : kNan;
  out.relative_change = finite_or_nan(sums.relative / n);
  out.cosine = finite_or_nan(sums.cosine / n);
  out.contraction = previous ? finite_or_nan(sums.change / previous->change) : kNan;
  return out;
}

// The quotient to/from; 1 if both are 0, as a state that stays 0 does not grow.
double ratio(double to, double from) {
  return to == from ? 1 : to / from;
}

void judge_growth(DynamicsReport& report, int64_t reference_loop) {
  const auto last = static_cast<int64_t>(report.loops.size());
  for (const LoopStatistics& loop : report.loops) {
    if (loop.finite) continue;
    report.first_nonfinite_loop = loop.loop;
    break;
  }
  report.reference_loop = std::clamp<int64_t>(reference_loop, 1, last);
  const LoopStatistics& from = report.loops[static_cast<size_t>(report.reference_loop - 1)];
  const LoopStatistics& to = report.loops.back();
  report.growth = report.first_nonfinite_loop ? kNan
                                              : std::max(ratio(to.state_mean, from.state_mean),
                                                         ratio(to.state_max, from.state_max));
}

}  // namespace

DynamicsReport measure_dynamics(const ModelConfig& config, const Weights& weights,
                                const std::vector<Tensor>& batches, int64_t loops) {
  const c10::InferenceMode guard;
  std::vector<Sums> sums(static_cast<size_t>(loops));
  size_t loops_run = 0;
  ForwardOptions options;
  options.loops = loops;
  options.observer = [&](int64_t t, const Tensor& before, const Tensor& after) {
    sums.at(static_cast<size_t>(t)).add(before, after);
    loops_run = std::max(loops_run, static_cast<size_t>(t) + 1);
  };
  ModelConfig tokens_alone = config;  // windows may begin within latent thoughts
  tokens_alone.latent_token = -1;
  DynamicsReport report;
  Progress progress("measuring", static_cast<int64_t>(batches.size()), "batches");
  for (size_t i = 0; i < batches.size(); ++i) {
    const Tensor hidden = forward(tokens_alone, weights, batches[i], options).hidden;
    report.output_finite = report.output_finite && at::isfinite(hidden).all().item<bool>();
    report.tokens += batches[i].numel();
    progress.update(static_cast<int64_t>(i + 1));
  }
  for (size_t i = 0; i < loops_run; ++i) {
    report.loops.push_back(
        statistics(sums[i], static_cast<int64_t>(i + 1), i ? &sums[i - 1] : nullptr));
  }
  if (!report.loops.empty()) {
    judge_growth(report, std::min(config.max_loop_iters, (loops + 1) / 2));
  }
  return report;
}

}  // namespace mythos
