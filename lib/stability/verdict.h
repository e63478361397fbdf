#pragma once
#include <string>
#include <vector>

#include "stability/dynamics.h"
#include "stability/spectral.h"

namespace mythos {

struct StabilityThresholds {
  double max_rho = 1;      // ρ(A) must be below
  double max_growth = 10;  // DynamicsReport::growth must be at most this

  // Fails (usage) naming the option, its value and what is allowed.
  void validate() const;
};

struct Verdict {
  std::vector<std::string> failures;  // one sentence per threshold that was not met
  bool stable() const { return failures.empty(); }
  // "stable: ρ(A) = 0.912 < 1; state norm 1.20 → 1.31 from loop 8 to 16", or "unstable: " and the
  // failures.
  std::string line;
};

// `dynamics` is null when only the static part was looked at.
Verdict judge(const SpectralReport& spectral, const DynamicsReport* dynamics,
              const StabilityThresholds& thresholds);

// ρ(A) so that a value just below 1 does not round to it: "0.912", "1 − 6.0e-08".
std::string format_radius(double radius);

}  // namespace mythos
