#include "config/param_groups.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "base/glob.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr const char* kForm =
    "expected \"PATTERN lr=FACTOR decay=VALUE; ...\", such as \"embed.* lr=0.1; *.wo.weight "
    "decay=0\"";
constexpr double kLargest = 1000;

[[noreturn]] void fail_group(std::string_view group, const std::string& what) {
  fail(ErrorKind::usage, strprintf("train.param_groups, \"%s\": %s", shown(group), what));
}

void take_setting(std::string_view group, const std::string& setting, ParamGroup& out) {
  const size_t equals = setting.find('=');
  const std::string key = setting.substr(0, equals);
  if (equals == setting.npos || (key != "lr" && key != "decay")) {
    fail_group(group,
               strprintf("'%s' is neither lr=FACTOR nor decay=VALUE; %s", shown(setting), kForm));
  }
  const std::string text = setting.substr(equals + 1);
  const auto value = parse_double(text);
  if (!value || !std::isfinite(*value) || *value < 0 || *value > kLargest) {
    fail_group(group,
               strprintf("%s=%s: expected a number from 0 to %g", key, shown(text), kLargest));
  }
  std::optional<double>& target = key == "lr" ? out.lr_factor : out.decay;
  if (target) fail_group(group, key + " is set twice");
  target = *value;
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
    if (!out.lr_factor && !out.decay) {
      fail_group(trim(group), strprintf("sets nothing; %s", kForm));
    }
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
  }
  return out;
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
