#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/objectives_config.h"

namespace mythos {

// A term of the objective, and the key of [objectives] that is its weight.
struct ObjectiveTerm {
  std::string_view name;
  double ObjectivesConfig::*weight;
};
// All terms there are, in the order in which metrics and checkpoints have them.
std::span<const ObjectiveTerm> all_objective_terms();

// The names of the terms that have a weight; empty where the output's cross-entropy is the only
// one, which is the loss itself.
std::vector<std::string> objective_terms(const ObjectivesConfig& config);

}  // namespace mythos
