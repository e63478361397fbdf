#pragma once
#include <string>
#include <vector>

#include "model/nonfinite.h"
#include "stability/dynamics.h"
#include "stability/spectral.h"

namespace mythos {

struct StabilityThresholds {
  double max_rho = 1;      // ρ(A) must be below
  double max_growth = 10;  // DynamicsReport::growth must be at most this
  // LoopStatistics::state_mean must be at most this at every loop. What layers add to the state
  // comes out of norms and is of the order of 1: beside a state of 2^16, 8 of the 24 significant
  // bits of fp32 (IEEE 754) are left for it, as many as bf16 has; fp16 ends at 65504.
  double max_state = 65536;

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

// `dynamics` is null when only the static part was looked at. `weights` are the values of the
// model's tensors that are not finite: any is a failure.
Verdict judge(const SpectralReport& spectral, const DynamicsReport* dynamics,
              const StabilityThresholds& thresholds, const NonFinite& weights = {});

// ρ(A) so that a value just below 1 does not round to it: "0.912", "1 − 6.0e-08".
std::string format_radius(double radius);

}  // namespace mythos
