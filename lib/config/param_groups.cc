#include "config/param_groups.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/glob.h"
#include "base/strings.h"
#include "config/field_value.h"

namespace mythos {
namespace {

constexpr const char* kForm =
    "expected \"PATTERN lr=FACTOR decay=VALUE schedule=NAME warmup=STEPS min=RATIO; ...\", such as "
    "\"embed.* lr=0.1; *.wo.weight decay=0\"";

std::string where_of(std::string_view group) {
  return strprintf("train.param_groups, \"%s\"", shown(group));
}

[[noreturn]] void fail_group(std::string_view group, const std::string& what) {
  fail(ErrorKind::usage, where_of(group) + ": " + what);
}

// Calls f(field, target) for every setting of a group.
template <class Self, class F>
void visit_settings(Self& group, F&& f) {
  f(Field{"lr", "factor of the peak", 0, 1000}, group.lr_factor);
  f(Field{"decay", "weight decay", 0, 1000}, group.decay);
  f(Field{"schedule", "learning-rate schedule"}, group.schedule);
  f(Field{"warmup", "steps of linear warm-up", 0, 1LL << 50}, group.warmup_steps);
  f(Field{"min", "last learning rate as a share of the peak", 0, 1}, group.min_lr_ratio);
}

void take_setting(std::string_view group, const std::string& setting, ParamGroup& out) {
  const size_t equals = setting.find('=');
  const std::string key = setting.substr(0, equals);
  bool known = false;
  visit_settings(out, [&](const Field& field, auto& target) {
    if (equals == setting.npos || key != field.name) return;
    known = true;
    if (target) fail_group(group, key + " is set twice");
    assign(field, key, parse_value(setting.substr(equals + 1)), where_of(group), target.emplace());
  });
  if (!known) fail_group(group, strprintf("'%s' is no setting; %s", shown(setting), kForm));
}

bool sets_nothing(const ParamGroup& group) {
  bool nothing = true;
  visit_settings(group, [&](const Field&, const auto& target) { nothing = nothing && !target; });
  return nothing;
}

}  // namespace

std::vector<ParamGroup> parse_param_groups(std::string_view text) {
  std::vector<ParamGroup> groups;
  if (trim(text).empty()) return groups;
  for (const std::string& group : split(text, ';')) {
    if (trim(group).empty()) continue;
    std::istringstream words(group);
    ParamGroup out;
    words >> out.pattern;
    if (out.pattern.find('=') != out.pattern.npos) {
      fail_group(trim(group), strprintf("begins without a pattern; %s", kForm));
    }
    for (std::string setting; words >> setting;) take_setting(trim(group), setting, out);
    if (sets_nothing(out)) fail_group(trim(group), strprintf("sets nothing; %s", kForm));
    groups.push_back(std::move(out));
  }
  return groups;
}

ParamGroup param_group_of(std::string_view name, const std::vector<ParamGroup>& groups) {
  ParamGroup out;
  for (const ParamGroup& group : groups) {
    if (!matches_glob(group.pattern, name)) continue;
    if (group.lr_factor) out.lr_factor = group.lr_factor;
    if (group.decay) out.decay = group.decay;
    if (group.schedule) out.schedule = group.schedule;
    if (group.warmup_steps) out.warmup_steps = group.warmup_steps;
    if (group.min_lr_ratio) out.min_lr_ratio = group.min_lr_ratio;
  }
  return out;
}

TrainConfig with_schedule_of(TrainConfig run, const ParamGroup& group) {
  run.schedule = group.schedule.value_or(run.schedule);
  run.warmup_steps = group.warmup_steps.value_or(run.warmup_steps);
  run.min_lr_ratio = group.min_lr_ratio.value_or(run.min_lr_ratio);
  return run;
}

void require_matches(const std::vector<ParamGroup>& groups, const std::vector<std::string>& names) {
  for (const ParamGroup& group : groups) {
    const bool found = std::ranges::any_of(
        names, [&](const std::string& name) { return matches_glob(group.pattern, name); });
    if (found) continue;
    std::string advice = did_you_mean(group.pattern, names);
    if (advice.empty() && !names.empty()) {
      advice = strprintf(" They have names such as %s and %s", names.front(), names.back());
    }
    fail(ErrorKind::usage, strprintf("train.param_groups: '%s' matches no trained tensor of the "
                                     "model.%s",
                                     shown(group.pattern), advice));
  }
}

}  // namespace mythos
