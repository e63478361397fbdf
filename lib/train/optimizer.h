#pragma once
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "config/train_config.h"
#include "model/weights.h"

namespace mythos {

// AdamW (Loshchilov and Hutter 2019) over the trained parameters, in LibTorch's fused form, with
// weight decay only on matrices. Holds references to the parameters' tensors, and two fp32 moments
// for each.
class AdamW {
 public:
  AdamW(const Parameters& parameters, const TrainConfig& config);

  // The results of an update, [] fp32 on the parameters' device.
  struct Update {
    // The norm of the gradients before clipping.
    Tensor norm;
    // With a loss scale: 1 if the norm was not finite and nothing was updated, else 0.
    Tensor found_inf;
  };
  // Updates the parameters from their gradients. These are divided by `loss_scale` [] fp32 if it is
  // defined, then scaled so that their global norm is at most clip_norm (Pascanu et al. 2013). A
  // parameter without a gradient counts as having a gradient of zero. Nothing here waits for the
  // device.
  Update step(double lr, const Tensor& loss_scale = {});

  // Removes all gradients.
  void zero_grad();

  // The optimizer's state: "exp_avg.NAME" and "exp_avg_sq.NAME" of every trained parameter, then
  // "step" [] fp32.
  NamedTensors state() const;
  // Restores a state exactly. Fails (data), naming the tensor and `origin`, if one is missing or
  // unknown, or a shape differs.
  void load(const TensorMap& state, const std::string& origin);

 private:
  struct Group {
    double weight_decay = 0;
    std::vector<std::string> names;
    std::vector<Tensor> parameters, exp_avg, exp_avg_sq;
  };
  void update(Group& group, const std::vector<Tensor>& gradients, double lr,
              const std::optional<Tensor>& divisor, const std::optional<Tensor>& found_inf);

  TrainConfig config_;
  Group decayed_, plain_;
  Tensor step_;  // [] fp32, number of updates done
};

}  // namespace mythos
