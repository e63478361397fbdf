#include "train/blow_up.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace mythos {
namespace {

constexpr double kLostShare = 0.5;

}  // namespace

BlowUpWatch::BlowUpWatch(int64_t vocab_size)
    : uniform_(std::log(static_cast<double>(vocab_size))) {}

BlowUpWatch::Verdict BlowUpWatch::judge(int64_t step, double loss) {
  const double limit = std::min(lowest_, uniform_) + kLostShare * uniform_;
  const bool was_sound = lowest_ <= limit;
  above_limit_ = loss > limit;
  lowest_ = std::min(lowest_, loss);
  step_ = step;
  if (!above_limit_ || !was_sound) {
    since_.reset();
    return above_limit_ ? Verdict::unsound : Verdict::sound;
  }
  if (!since_) {
    since_ = step;
    return Verdict::begins;
  }
  return steps() >= kPatienceSteps ? Verdict::lasts : Verdict::goes_on;
}

void BlowUpWatch::save(nlohmann::json& state) const {
  state["lowest_loss"] = std::isfinite(lowest_) ? nlohmann::json(lowest_) : nlohmann::json();
  state["blown_since"] = since_ ? nlohmann::json(*since_) : nlohmann::json();
  state["above_limit"] = above_limit_;
}

void BlowUpWatch::restore(const nlohmann::json& state) {
  if (const auto found = state.find("lowest_loss"); found != state.end() && found->is_number()) {
    lowest_ = found->get<double>();
  }
  if (const auto found = state.find("blown_since"); found != state.end() && found->is_number()) {
    since_ = found->get<int64_t>();
  }
  above_limit_ = state.value("above_limit", false);
}

}  // namespace mythos
