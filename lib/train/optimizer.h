#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "config/train_config.h"
#include "model/weights.h"
#include "train/trained_tensors.h"

namespace mythos {

// Updates the trained parameters (trained_tensors.h), among them the factors of low-rank updates.
// Holds references to their tensors, and fp32 state for each:
//   AdamW (Loshchilov and Hutter 2019), in LibTorch's fused form: two moments. All parameters, or
//         with train.optimizer = "muon" all but the hidden matrices.
//   Muon  (Jordan et al. 2024) with Nesterov momentum: the momentum. Hidden matrices
//         (arch/declaration.h); each expert, and each part of a packed tensor, is a matrix of its
//         own (muon.h).
// Weight decay is decoupled, lr·decay·w, and of matrices only. Groups have their own learning
// rates and decays: rates of AdamW's matrices scale by lr_base_width/dim in wider models (Yang et
// al. 2022, the rule of Adam; Muon's scale does not depend on the width), and train.param_groups
// sets both by name, and the schedule of the rates. With cautious_decay only numbers that the
// update moves towards zero decay (Chen et al. 2025, arXiv 2510.12402). With ema_decay an average
// of the weights is kept beside.
class GroupedOptimizer {
 public:
  GroupedOptimizer(const Parameters& parameters, const TrainConfig& config);
  // The part of one rank, which updates `own` of the trained tensors (sharding.h); `norm_of_all`
  // makes the norm of all gradients, alike on all ranks, from that of its own.
  using NormOfAll = std::function<Tensor(const Tensor& own)>;
  GroupedOptimizer(const Parameters& parameters, const std::vector<TrainedTensor>& own,
                   const TrainConfig& config, NormOfAll norm_of_all);

  // The results of an update, [] fp32 on the parameters' device.
  struct Update {
    // The norm of the gradients before clipping.
    Tensor norm;
    // With a loss scale: 1 if the norm was not finite and nothing was updated, else 0.
    Tensor found_inf;
    // 1 if nothing was updated, else 0; undefined where every step updates: without a loss scale
    // and `skips`.
    Tensor skipped;
  };
  // Says of a step, from the norm of its gradients (without the loss scale), whether it is to
  // change nothing: [] fp32 on the device, 1 or 0.
  using Skips = std::function<Tensor(const Tensor& norm)>;

  // What a step multiplies a group's peak learning rate by, from the configuration with the group's
  // own schedule (schedule_factor()).
  using Factor = std::function<double(const TrainConfig& schedule)>;

  // Updates the parameters from their gradients, and uses those up. The gradients are divided by
  // `loss_scale` [] fp32 if it is defined, then scaled so that their global norm is at most
  // clip_norm (Pascanu et al. 2013). A parameter without a gradient counts as having a gradient of
  // zero. A step that is skipped leaves parameters and state as they are. Nothing here waits for
  // the device.
  Update step(const Factor& factor, const Tensor& loss_scale = {}, const Skips& skips = {});
  // The update with one factor for all groups.
  Update step(double factor, const Tensor& loss_scale = {}, const Skips& skips = {});

  // Removes all gradients.
  void zero_grad();

  // The optimizer's state: "exp_avg.NAME" and "exp_avg_sq.NAME", or "momentum.NAME", of every
  // trained parameter; "ema.NAME" of each, if averages are kept; then "step" [] fp32.
  NamedTensors state() const;
  // Restores a state exactly, one tensor after the other. Averages begin with the parameters if the
  // state has none, and those that are not kept any more are dropped. Fails (data), naming the
  // tensor and `origin`, if one is missing or unknown, or a shape differs.
  void load(const StoredTensors& state, const std::string& origin);

 private:
  struct Group {
    Optimizer kind = Optimizer::adamw;
    double lr = 0, weight_decay = 0;  // the peak, and its decay
    TrainConfig schedule;
    std::vector<std::string> names;
    std::vector<Tensor> parameters;
    std::vector<Tensor> exp_avg, exp_avg_sq;  // AdamW
    std::vector<Tensor> momentum;             // Muon
    std::vector<std::vector<int64_t>> parts;  // Muon
    std::vector<Tensor> ema;                  // with ema_decay
  };
  // What all groups of a step share.
  struct Scales {
    std::optional<Tensor> divisor;  // of the gradients
    std::optional<Tensor> skipped;
  };
  void add(const TensorDeclaration& declaration, const Tensor& parameter);
  Group& group_of(const TensorDeclaration& declaration);
  // These move a group at the learning rate `lr`.
  void update_adamw(Group& group, const std::vector<Tensor>& gradients, const Scales& scales,
                    double lr);
  void update_muon(Group& group, const std::vector<Tensor>& gradients, const Scales& scales,
                   double lr);
  void average(Group& group, const std::optional<Tensor>& skipped);

  TrainConfig config_;
  NormOfAll norm_of_all_;  // null: there is but one rank
  int64_t width_ = 0;      // dim
  std::vector<Group> groups_;
  Tensor step_;  // [] fp32, number of updates done
};

}  // namespace mythos
