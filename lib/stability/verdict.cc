#include "stability/verdict.h"

#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

std::string static_summary(const SpectralReport& spectral, const StabilityThresholds& thresholds) {
  if (!spectral.applicable) {
    return "ρ(A) does not apply (injection " + std::string(enum_name(spectral.injection)) + ")";
  }
  return strprintf("ρ(A) = %s < %g", format_radius(spectral.radius).c_str(), thresholds.max_rho);
}

std::string dynamic_summary(const DynamicsReport& dynamics) {
  const auto& from = dynamics.loops[static_cast<size_t>(dynamics.reference_loop - 1)];
  const auto& to = dynamics.loops.back();
  // Within the threshold, yet not settling: worth telling, not failing.
  constexpr double kStillGrowing = 1.25;
  return strprintf("state norm %.3g → %.3g from loop %lld to %lld%s", from.state_mean,
                   to.state_mean, static_cast<long long>(from.loop),
                   static_cast<long long>(to.loop),
                   dynamics.growth > kStillGrowing ? ", still growing" : "");
}

}  // namespace

void StabilityThresholds::validate() const {
  if (!(max_rho > 0)) {
    fail(ErrorKind::usage, strprintf("max-rho is %g; allowed: more than 0", max_rho));
  }
  if (!(max_growth > 0)) {
    fail(ErrorKind::usage, strprintf("max-growth is %g; allowed: more than 0", max_growth));
  }
}

std::string format_radius(double radius) {
  if (radius < 1 && radius > 0.999) return strprintf("1 − %.1e", 1 - radius);
  if (radius >= 1 && radius < 1.001 && radius != 1) return strprintf("1 + %.1e", radius - 1);
  return strprintf("%.3g", radius);
}

Verdict judge(const SpectralReport& spectral, const DynamicsReport* dynamics,
              const StabilityThresholds& thresholds) {
  Verdict verdict;
  if (spectral.applicable && !(spectral.radius < thresholds.max_rho)) {
    verdict.failures.push_back(strprintf("ρ(A) = %s is not below %g (--max-rho)",
                                         format_radius(spectral.radius).c_str(),
                                         thresholds.max_rho));
  }
  const bool measured = dynamics && !dynamics->loops.empty();
  if (measured && dynamics->first_nonfinite_loop) {
    verdict.failures.push_back(strprintf("the state is not finite after loop %lld",
                                         static_cast<long long>(dynamics->first_nonfinite_loop)));
  } else if (measured && !(dynamics->growth <= thresholds.max_growth)) {
    verdict.failures.push_back(
        strprintf("the state grows %.3g-fold from loop %lld to %lld, more than %g (--max-growth)",
                  dynamics->growth, static_cast<long long>(dynamics->reference_loop),
                  static_cast<long long>(dynamics->loops.back().loop), thresholds.max_growth));
  }
  if (verdict.stable()) {
    verdict.line = "stable: " + static_summary(spectral, thresholds) + "; " +
                   (measured ? dynamic_summary(*dynamics) : "the dynamics were not measured");
  } else {
    verdict.line = "unstable: " + join(verdict.failures, "; ");
  }
  return verdict;
}

}  // namespace mythos
