#include "stability/verdict.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

std::string static_summary(const SpectralReport& spectral, const StabilityThresholds& thresholds) {
  if (!spectral.applicable) {
    return "ρ(A) does not apply (injection " + std::string(enum_name(spectral.injection)) + ")";
  }
  return strprintf("ρ(A) = %s < %g", format_radius(spectral.radius), thresholds.max_rho);
}

std::string dynamic_summary(const DynamicsReport& dynamics) {
  const auto& from = dynamics.loops[static_cast<size_t>(dynamics.reference_loop - 1)];
  const auto& to = dynamics.loops.back();
  // A growth above this is within the threshold, yet the state is not settling: worth a remark, not
  // a failure.
  constexpr double kStillGrowing = 1.25;
  return strprintf("state norm %.3g → %.3g from loop %d to %d%s", from.state_mean, to.state_mean,
                   from.loop, to.loop, dynamics.growth > kStillGrowing ? ", still growing" : "");
}

// Adds the failures of the states over the loops.
void judge_states(const DynamicsReport& dynamics, const StabilityThresholds& thresholds,
                  std::vector<std::string>& failures) {
  if (dynamics.first_nonfinite_loop) {
    failures.push_back(
        strprintf("the state is not finite after loop %d", dynamics.first_nonfinite_loop));
    return;
  }
  if (!(dynamics.growth <= thresholds.max_growth)) {
    failures.push_back(
        strprintf("the state grows %.3g-fold from loop %d to %d, more than %g (--max-growth)",
                  dynamics.growth, dynamics.reference_loop, dynamics.loops.back().loop,
                  thresholds.max_growth));
  }
  const auto largest = std::ranges::max_element(dynamics.loops, {}, &LoopStatistics::state_mean);
  if (!(largest->state_mean <= thresholds.max_state)) {
    failures.push_back(strprintf(
        "the state's norm is %.3g after loop %d, more than %g (--max-state): what fp32 adds to "
        "it is lost",
        largest->state_mean, largest->loop, thresholds.max_state));
  }
  if (!dynamics.output_finite) {
    failures.emplace_back("the output of the coda is not finite, though the state is");
  }
}

}  // namespace

void StabilityThresholds::validate() const {
  if (!(max_rho > 0)) {
    fail(ErrorKind::usage, strprintf("max-rho is %g; allowed: more than 0", max_rho));
  }
  if (!(max_growth > 0)) {
    fail(ErrorKind::usage, strprintf("max-growth is %g; allowed: more than 0", max_growth));
  }
  if (!(max_state > 0)) {
    fail(ErrorKind::usage, strprintf("max-state is %g; allowed: more than 0", max_state));
  }
}

std::string format_radius(double radius) {
  if (radius < 1 && radius > 0.999) return strprintf("1 − %.1e", 1 - radius);
  if (radius >= 1 && radius < 1.001 && radius != 1) return strprintf("1 + %.1e", radius - 1);
  return strprintf("%.3g", radius);
}

Verdict judge(const SpectralReport& spectral, const DynamicsReport* dynamics,
              const StabilityThresholds& thresholds, const NonFinite& weights) {
  Verdict verdict;
  if (!weights.none()) verdict.failures.push_back(weights.text());
  if (spectral.applicable && !(spectral.radius < thresholds.max_rho)) {
    verdict.failures.push_back(strprintf("ρ(A) = %s is not below %g (--max-rho)",
                                         format_radius(spectral.radius), thresholds.max_rho));
  }
  const bool measured = dynamics && !dynamics->loops.empty();
  if (measured) judge_states(*dynamics, thresholds, verdict.failures);
  if (verdict.stable()) {
    verdict.line = "stable: " + static_summary(spectral, thresholds) + "; " +
                   (measured ? dynamic_summary(*dynamics) : "the dynamics were not measured");
  } else {
    verdict.line = "unstable: " + join(verdict.failures, "; ");
  }
  return verdict;
}

}  // namespace mythos
