#include "train/step_guard.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/format.h"

namespace mythos {
namespace {

constexpr double kLeastDeviation = 0.01;  // as a share of the mean

}  // namespace

StepGuard::StepGuard(const TrainConfig& config) : config_(config) {}

// With a share of 1/n for the n-th value, mean and variance are those of all values so far.
void StepGuard::Average::add(double value, double share) {
  const double distance = value - mean;
  mean += share * distance;
  variance = (1 - share) * (variance + share * distance * distance);
}

double StepGuard::Average::deviations(double value) const {
  const double deviation = std::max(std::sqrt(variance), kLeastDeviation * std::abs(mean));
  return deviation > 0 ? (value - mean) / deviation : 0;
}

bool StepGuard::deviates(const char* what, const Average& average, double value) {
  if (!std::isfinite(value)) {
    reason_ = strprintf("the %s is not finite", what);
    return true;
  }
  if (config_.skip_deviations <= 0 || sound_steps_ < kWarmupSteps) return false;
  const double deviations = average.deviations(value);
  if (deviations <= config_.skip_deviations) return false;
  reason_ = strprintf("the %s, %.4g, lies %.1f deviations above its recent mean, %.4g", what, value,
                      deviations, average.mean);
  return true;
}

bool StepGuard::judge(double loss, double norm) {
  if (deviates("loss", loss_, loss) || deviates("gradient norm", norm_, norm)) {
    ++bad_in_row_;
    return true;
  }
  bad_in_row_ = 0;
  ++sound_steps_;
  const double share = 1.0 / static_cast<double>(std::min(sound_steps_, kMemorySteps));
  loss_.add(loss, share);
  norm_.add(norm, share);
  return false;
}

void StepGuard::roll_back() {
  bad_in_row_ = 0;
  ++rollbacks_;
  rate_factor_ *= config_.rollback_lr_factor;
}

void StepGuard::save(nlohmann::json& state) const {
  if (!on()) return;
  state["guard"] = {{"loss_mean", loss_.mean},     {"loss_variance", loss_.variance},
                    {"norm_mean", norm_.mean},     {"norm_variance", norm_.variance},
                    {"sound_steps", sound_steps_}, {"bad_in_row", bad_in_row_},
                    {"reason", reason_},           {"rollbacks", rollbacks_},
                    {"rate_factor", rate_factor_}};
}

void StepGuard::restore(const nlohmann::json& state) {
  const auto guard = state.find("guard");
  if (guard == state.end() || !guard->is_object()) return;
  loss_ = {guard->at("loss_mean").get<double>(), guard->at("loss_variance").get<double>()};
  norm_ = {guard->at("norm_mean").get<double>(), guard->at("norm_variance").get<double>()};
  sound_steps_ = guard->at("sound_steps").get<int64_t>();
  bad_in_row_ = guard->at("bad_in_row").get<int64_t>();
  reason_ = guard->at("reason").get<std::string>();
  rollbacks_ = guard->at("rollbacks").get<int64_t>();
  rate_factor_ = guard->at("rate_factor").get<double>();
}

}  // namespace mythos
