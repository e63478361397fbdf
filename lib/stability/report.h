#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "stability/verdict.h"

namespace mythos {

struct StabilityReport {
  std::string subject;  // the checkpoint or preset
  ModelConfig config;
  // Names the probe of the dynamics; empty if they were not measured.
  std::string probe;
  std::optional<NonFinite> weights;  // nothing if the weights were not looked at
  SpectralReport spectral;
  DynamicsReport dynamics;  // its `loops` are empty if not measured
  StabilityThresholds thresholds;
  Verdict verdict;
};

// The report for people; with `bars`, norms and the histogram are drawn beside the numbers.
std::string to_text(const StabilityReport& report, bool bars);
// The report as an object of schema "mythos.stability/1", whose keys man/mythos-stability-check.1
// describes. Numbers that are not finite are null.
nlohmann::json to_json(const StabilityReport& report);

}  // namespace mythos
