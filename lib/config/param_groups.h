#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// What train.param_groups says of the tensors whose names match a glob.
struct ParamGroup {
  std::string pattern;
  std::optional<double> lr_factor;  // of the peak that the tensor would have
  std::optional<double> decay;      // instead of what the tensor would have
};

// Reads "PATTERN lr=FACTOR decay=VALUE; PATTERN …", where a pattern has one or both. Fails (usage),
// naming what is wrong, if the text is anything else.
std::vector<ParamGroup> parse_param_groups(std::string_view text);

// What all groups together say of a tensor; of two that set one thing the later counts.
ParamGroup param_group_of(std::string_view name, const std::vector<ParamGroup>& groups);

// Fails (usage) if a group's pattern matches none of the tensors.
void require_matches(const std::vector<ParamGroup>& groups, const std::vector<std::string>& names);

}  // namespace mythos
