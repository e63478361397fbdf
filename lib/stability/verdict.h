#pragma once
#include <string>
#include <vector>

#include "model/nonfinite.h"
#include "stability/dynamics.h"
#include "stability/spectral.h"

namespace mythos {

struct StabilityThresholds {
  double max_rho = 1;      // ρ(A) must be below it
  double max_growth = 10;  // DynamicsReport::growth must be at most this
  // LoopStatistics::state_mean must be at most this at every loop. Layers add numbers of the order
  // of 1 to the state, as these come out of norms: in a sum with a state of 2^16, fp32 keeps only 8
  // of their 24 significant bits (IEEE 754), as many as bf16 has; fp16 ends at 65504.
  double max_state = 65536;

  // Checks the thresholds. Fails (usage), naming the option, its value and what is allowed.
  void validate() const;
};

struct Verdict {
  std::vector<std::string> failures;  // one sentence for each threshold that was not met
  bool stable() const { return failures.empty(); }
  // "stable: ρ(A) = 0.912 < 1; state norm 1.20 → 1.31 from loop 8 to 16", or "unstable: " and the
  // failures.
  std::string line;
};

// Judges a model. `dynamics` is null if only the static part was looked at. `weights` lists the
// values of the model's tensors that are not finite; each is a failure.
Verdict judge(const SpectralReport& spectral, const DynamicsReport* dynamics,
              const StabilityThresholds& thresholds, const NonFinite& weights = {});

// The text of ρ(A). A value just below 1 is not rounded to 1: "0.912", "1 − 6.0e-08".
std::string format_radius(double radius);

}  // namespace mythos
