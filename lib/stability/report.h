#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "stability/verdict.h"

namespace mythos {

struct StabilityReport {
  std::string subject;  // the checkpoint or preset
  ModelConfig config;
  std::string probe;                 // what the dynamics were measured on; empty when they were not
  std::optional<NonFinite> weights;  // nothing where the weights were not looked at
  SpectralReport spectral;
  DynamicsReport dynamics;  // `loops` empty when not measured
  StabilityThresholds thresholds;
  Verdict verdict;
};

// For people; with `bars`, norms and histogram are drawn beside the numbers.
std::string to_text(const StabilityReport& report, bool bars);
// "mythos.stability/1": man/mythos-stability-check.1 describes the keys. Numbers that are not
// finite are null.
nlohmann::json to_json(const StabilityReport& report);

}  // namespace mythos
