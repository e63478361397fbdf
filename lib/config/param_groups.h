#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/train_config.h"

namespace mythos {

// What train.param_groups says of the tensors whose names match a glob.
struct ParamGroup {
  std::string pattern;
  std::optional<double> lr_factor;  // of the peak that the tensor would have
  std::optional<double> decay;      // instead of what the tensor would have
  // Its own schedule; what is not given is the run's.
  std::optional<Schedule> schedule;
  std::optional<int64_t> warmup_steps;
  std::optional<double> min_lr_ratio;
};

// Reads "PATTERN lr=FACTOR decay=VALUE schedule=NAME warmup=STEPS min=RATIO; PATTERN …", where a
// pattern has at least one of these. Fails (usage), naming what is wrong, if the text is anything
// else.
std::vector<ParamGroup> parse_param_groups(std::string_view text);

// What all groups together say of a tensor; of two that set one thing the later counts.
ParamGroup param_group_of(std::string_view name, const std::vector<ParamGroup>& groups);

// The run's configuration with the schedule that the group follows.
TrainConfig with_schedule_of(TrainConfig run, const ParamGroup& group);

// Fails (usage) if a group's pattern matches none of the tensors.
void require_matches(const std::vector<ParamGroup>& groups, const std::vector<std::string>& names);

}  // namespace mythos
