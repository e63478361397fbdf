#include "config/objective_terms.h"

#include <array>

namespace mythos {

std::span<const ObjectiveTerm> all_objective_terms() {
  static constexpr std::array kTerms = {
      ObjectiveTerm{"next_token", &ObjectivesConfig::next_token},
      ObjectiveTerm{"per_loop", &ObjectivesConfig::per_loop},
      ObjectiveTerm{"gate", &ObjectivesConfig::gate},
      ObjectiveTerm{"gate_gain", &ObjectivesConfig::gate_gain},
      ObjectiveTerm{"ponder", &ObjectivesConfig::ponder},
      ObjectiveTerm{"ponder_cost", &ObjectivesConfig::ponder_cost},
      ObjectiveTerm{"fixed_point", &ObjectivesConfig::fixed_point},
      ObjectiveTerm{"jacobian", &ObjectivesConfig::jacobian},
      ObjectiveTerm{"balance", &ObjectivesConfig::balance},
      ObjectiveTerm{"router_z", &ObjectivesConfig::router_z}};
  return kTerms;
}

std::vector<std::string> objective_terms(const ObjectivesConfig& config) {
  std::vector<std::string> names;
  for (const ObjectiveTerm& term : all_objective_terms()) {
    if (config.*term.weight != 0) names.emplace_back(term.name);
  }
  if (names.size() == 1 && names[0] == "next_token") names.clear();
  return names;
}

}  // namespace mythos
