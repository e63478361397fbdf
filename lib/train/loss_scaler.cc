#include "train/loss_scaler.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_amp_update_scale.h>
#include <nlohmann/json.hpp>

namespace mythos {

LossScaler::LossScaler(const TrainConfig& config, at::Device device)
    : config_(config),
      scale_(at::full({}, config.loss_scale, at::dtype(at::kFloat).device(device))),
      finite_steps_(at::zeros({}, at::dtype(at::kInt).device(device))),
      stuck_steps_(at::zeros({}, at::dtype(at::kFloat).device(device))) {}

void LossScaler::update(const Tensor& found_inf) {
  const at::NoGradGuard no_grad;
  stuck_steps_.add_(1).mul_(found_inf).mul_(scale_.le(kLeast));
  at::_amp_update_scale_(scale_, finite_steps_, found_inf, config_.loss_scale_growth,
                         config_.loss_scale_backoff, config_.loss_scale_interval);
  scale_.clamp_min_(kLeast);
}

double LossScaler::read_scale() const {
  return scale_.item<float>();
}

int64_t LossScaler::read_stuck_steps() const {
  return static_cast<int64_t>(stuck_steps_.item<float>());
}

nlohmann::json LossScaler::state() const {
  return {{"scale", read_scale()},
          {"finite_steps", finite_steps_.item<int32_t>()},
          {"stuck_steps", read_stuck_steps()}};
}

void LossScaler::restore(const nlohmann::json& state) {
  scale_.fill_(state.at("scale").get<double>());
  finite_steps_.fill_(state.at("finite_steps").get<int64_t>());
  stuck_steps_.fill_(state.at("stuck_steps").get<int64_t>());
}

}  // namespace mythos
