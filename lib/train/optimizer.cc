#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/slices.h"
#include "config/param_groups.h"
#include "train/muon.h"
#include "train/trained_tensors.h"

namespace mythos {
namespace {

std::vector<Tensor> gradients_of(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> gradients;
  for (const Tensor& parameter : parameters) {
    const Tensor& gradient = parameter.grad();
    gradients.push_back(gradient.defined() ? gradient.contiguous() : at::zeros_like(parameter));
  }
  return gradients;
}

void restore(Tensor& target, const StoredTensors& state, const std::string& name,
             const std::string& origin) {
  const auto found = state.find(name);
  if (found == state.end()) {
    fail(ErrorKind::data, origin + ": the optimizer state lacks the tensor '" + name + "'");
  }
  const Tensor values = found->second();
  if (values.sizes() != target.sizes()) {
    fail(ErrorKind::data, origin + ": optimizer tensor '" + name + "' has shape " +
                              shape_text(values.sizes()) + ", expected " +
                              shape_text(target.sizes()));
  }
  target.copy_(values);
}

// The width of the hidden states: embeddings are [V,D].
int64_t width_of(const Parameters& parameters) {
  for (const Parameters::Item& item : parameters.items()) {
    if (item.use == Use::lookup) return item.shape.back();
  }
  return 0;
}

// Whether the rate of AdamW depends on the width: that of a matrix whose columns are hidden
// channels; an embedding's does not (Yang et al. 2022, table 8).
bool scales_with_width(Use use) {
  return use == Use::product || use == Use::experts || use == Use::head ||
         use == Use::exact_product || use == Use::fp32_product;
}

}  // namespace

GroupedOptimizer::GroupedOptimizer(const Parameters& parameters, const TrainConfig& config)
    : GroupedOptimizer(parameters, trained_tensors(parameters), config, {}) {}

GroupedOptimizer::GroupedOptimizer(const Parameters& parameters,
                                   const std::vector<TrainedTensor>& own, const TrainConfig& config,
                                   NormOfAll norm_of_all)
    : config_(config), norm_of_all_(std::move(norm_of_all)), width_(width_of(parameters)) {
  step_ = at::zeros({}, at::dtype(at::kFloat).device(parameters.device()));
  for (const TrainedTensor& item : own) add(item, item.tensor);
}

void GroupedOptimizer::add(const TensorDeclaration& declaration, const Tensor& parameter) {
  const Tensor value = parameter.detach();
  Group& group = group_of(declaration);
  group.names.push_back(declaration.name);
  group.parameters.push_back(parameter);
  if (group.kind == Optimizer::muon) {
    group.momentum.push_back(at::zeros_like(value));
    group.parts.push_back(declaration.parts);
  } else {
    group.exp_avg.push_back(at::zeros_like(value));
    group.exp_avg_sq.push_back(at::zeros_like(value));
  }
  if (config_.ema_decay > 0) group.ema.push_back(value.clone());
}

GroupedOptimizer::Group& GroupedOptimizer::group_of(const TensorDeclaration& declaration) {
  Group wanted;
  wanted.weight_decay = is_decayed(declaration.use) ? config_.weight_decay : 0;
  if (config_.optimizer == Optimizer::muon && is_hidden_matrix(declaration)) {
    wanted.kind = Optimizer::muon;
    wanted.lr = config_.muon_lr;
  } else {
    wanted.lr = config_.lr;
    if (config_.lr_base_width > 0 && width_ > config_.lr_base_width &&
        scales_with_width(declaration.use)) {
      wanted.lr *= static_cast<double>(config_.lr_base_width) / static_cast<double>(width_);
    }
  }
  const ParamGroup chosen =
      param_group_of(whole_name(declaration.name), parse_param_groups(config_.param_groups));
  wanted.lr *= chosen.lr_factor.value_or(1);
  wanted.weight_decay = chosen.decay.value_or(wanted.weight_decay);
  wanted.schedule = with_schedule_of(config_, chosen);
  for (Group& group : groups_) {
    if (group.kind == wanted.kind && group.lr == wanted.lr &&
        group.weight_decay == wanted.weight_decay && group.schedule == wanted.schedule) {
      return group;
    }
  }
  groups_.push_back(std::move(wanted));
  return groups_.back();
}

void GroupedOptimizer::update_adamw(Group& group, const std::vector<Tensor>& gradients,
                                    const Scales& scales, double lr) {
  const bool cautious = config_.cautious_decay && group.weight_decay > 0;
  for (size_t i = 0; cautious && i < gradients.size(); ++i) {
    // The sign of the update is that of the first moment, which the fused update has yet to move.
    const Tensor gradient = scales.divisor ? gradients[i] / *scales.divisor : gradients[i];
    const Tensor moment = at::lerp(group.exp_avg[i], gradient, 1 - config_.beta1);
    Tensor& weights = group.parameters[i];
    Tensor decays = (moment * weights).ge(0);
    if (scales.skipped) decays = decays.logical_and(scales.skipped->eq(0));
    weights.sub_(weights * decays, lr * group.weight_decay);
  }
  const std::vector<Tensor> steps(group.parameters.size(), step_);
  at::_fused_adamw_(group.parameters, gradients, group.exp_avg, group.exp_avg_sq, {}, steps, lr,
                    config_.beta1, config_.beta2, cautious ? 0 : group.weight_decay,
                    config_.adam_eps, /*amsgrad=*/false, /*maximize=*/false, scales.divisor,
                    scales.skipped);
}

void GroupedOptimizer::update_muon(Group& group, const std::vector<Tensor>& gradients,
                                   const Scales& scales, double lr) {
  const double momentum = config_.muon_momentum;
  std::vector<MatrixTensor> directions;
  for (size_t i = 0; i < gradients.size(); ++i) {
    Tensor direction = gradients[i];
    if (scales.divisor) direction.div_(*scales.divisor);
    Tensor& mean = group.momentum[i];
    const Tensor moved = at::lerp(mean, direction, 1 - momentum);
    mean.copy_(scales.skipped ? at::where(scales.skipped->gt(0), mean, moved) : moved);
    direction.lerp_(mean, momentum);  // Nesterov's
    directions.push_back({direction, group.parts[i]});
  }
  orthogonalize(directions);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Tensor& direction = directions[i].values;
    Tensor& weights = group.parameters[i];
    Tensor decayed = weights.detach();
    if (group.weight_decay > 0) {
      const Tensor decays =
          config_.cautious_decay ? weights * (direction * weights).ge(0) : weights.detach();
      decayed = at::sub(weights, decays, lr * group.weight_decay);
    }
    const Tensor moved = at::sub(decayed, direction, lr);
    weights.copy_(scales.skipped ? at::where(scales.skipped->gt(0), weights, moved) : moved);
  }
}

// The mean of the weights behind all updates at first, later ema = d·ema + (1−d)·weights: the share
// of the newest weights is 1/t, and never less than 1 − d.
void GroupedOptimizer::average(Group& group, const std::optional<Tensor>& skipped) {
  Tensor share = step_.reciprocal().clamp_min(1 - config_.ema_decay);
  if (skipped) share = share.masked_fill(skipped->gt(0), 0);
  for (size_t i = 0; i < group.ema.size(); ++i) {
    group.ema[i].lerp_(group.parameters[i].detach(), share);
  }
}

GroupedOptimizer::Update GroupedOptimizer::step(double factor, const Tensor& loss_scale,
                                                const Skips& skips) {
  return step([&](const TrainConfig&) { return factor; }, loss_scale, skips);
}

GroupedOptimizer::Update GroupedOptimizer::step(const Factor& factor, const Tensor& loss_scale,
                                                const Skips& skips) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<Tensor>> gradients;
  std::vector<Tensor> all;
  for (const Group& group : groups_) {
    gradients.push_back(gradients_of(group.parameters));
    all.insert(all.end(), gradients.back().begin(), gradients.back().end());
  }
  Update out;
  out.norm = all.empty() ? at::zeros_like(step_)
                         : at::linalg_vector_norm(at::stack(at::_foreach_norm(all, 2)));
  if (norm_of_all_) out.norm = norm_of_all_(out.norm);
  // The fused update divides every gradient by the divisor as it reads it, so neither clipping nor
  // the loss scale needs a pass over memory of its own.
  Scales scales;
  if (loss_scale.defined()) {
    // If any gradient is not finite, the norm is not finite.
    out.skipped = out.found_inf = out.norm.isfinite().logical_not().to(at::kFloat);
    out.norm = out.norm / loss_scale;
    scales.divisor = loss_scale;
  }
  if (skips) {
    const Tensor asked = skips(out.norm).to(at::kFloat);
    out.skipped = out.skipped.defined() ? at::maximum(out.skipped, asked) : asked;
  }
  if (config_.clip_norm > 0) {
    const Tensor clip = (out.norm / config_.clip_norm).clamp_min(1);
    scales.divisor = scales.divisor ? *scales.divisor * clip : clip;
  }
  if (out.skipped.defined()) scales.skipped = out.skipped;
  step_.add_(1);
  if (scales.skipped) step_.sub_(*scales.skipped);
  for (size_t i = 0; i < groups_.size(); ++i) {
    const double lr = groups_[i].lr * factor(groups_[i].schedule);
    if (groups_[i].kind == Optimizer::muon) {
      update_muon(groups_[i], gradients[i], scales, lr);
    } else {
      update_adamw(groups_[i], gradients[i], scales, lr);
    }
    average(groups_[i], scales.skipped);
  }
  return out;
}

void GroupedOptimizer::zero_grad() {
  for (Group& group : groups_) {
    for (Tensor& parameter : group.parameters) parameter.mutable_grad() = Tensor();
  }
}

NamedTensors GroupedOptimizer::state() const {
  NamedTensors out;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.names.size(); ++i) {
      const std::string& name = group.names[i];
      if (group.kind == Optimizer::muon) {
        out.emplace_back("momentum." + name, group.momentum[i]);
      } else {
        out.emplace_back("exp_avg." + name, group.exp_avg[i]);
        out.emplace_back("exp_avg_sq." + name, group.exp_avg_sq[i]);
      }
      if (!group.ema.empty()) out.emplace_back(kAveragePrefix + name, group.ema[i]);
    }
  }
  out.emplace_back("step", step_);
  return out;
}

void GroupedOptimizer::load(const StoredTensors& state, const std::string& origin) {
  const at::NoGradGuard no_grad;
  const auto averages = static_cast<size_t>(std::ranges::count_if(
      state, [](const auto& entry) { return entry.first.starts_with(kAveragePrefix); }));
  size_t known = 0;
  for (auto& [name, tensor] : this->state()) {
    const bool average = name.starts_with(kAveragePrefix);
    if (!average) ++known;
    Tensor target = tensor;
    if (!average || averages > 0) restore(target, state, name, origin);
  }
  // Averages begin with the weights, which were not yet loaded when they were made.
  for (Group& group : groups_) {
    for (size_t i = 0; averages == 0 && i < group.ema.size(); ++i) {
      group.ema[i].copy_(group.parameters[i].detach());
    }
  }
  if (state.size() - averages != known) {
    fail(ErrorKind::data, origin + ": the optimizer state holds " +
                              std::to_string(state.size() - averages) + " tensors, expected " +
                              std::to_string(known));
  }
}

}  // namespace mythos
