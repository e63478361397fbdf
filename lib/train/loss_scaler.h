#pragma once
#include <nlohmann/json_fwd.hpp>

#include "config/train_config.h"
#include "model/weights.h"

namespace mythos {

// The factor that keeps gradients within fp16 (Micikevicius et al. 2018): the loss is multiplied by
// it, and the optimizer divides by it. It falls after gradients that overflow, whose step changes
// nothing, and grows after many steps without overflow. Its numbers lie on the device; only the
// functions that read them wait for the device.
class LossScaler {
 public:
  static constexpr double kLeast = 1;
  // After so many overflows in a row at the least scale, training does not recover by itself.
  static constexpr int64_t kPatienceSteps = 10;

  LossScaler(const TrainConfig& config, at::Device device);

  const Tensor& scale() const { return scale_; }  // [] fp32

  // Adapts the scale after a step; found_inf [] fp32 is 1 if its gradients were not finite, else 0.
  void update(const Tensor& found_inf);

  double read_scale() const;
  // The number of overflows in a row at the least scale.
  int64_t read_stuck_steps() const;

  // The scaler's state, {"scale", "finite_steps", "stuck_steps"}, which load() restores exactly.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  TrainConfig config_;
  Tensor scale_;
  Tensor finite_steps_;  // [] int32, since the scale changed
  Tensor stuck_steps_;   // [] fp32
};

}  // namespace mythos
