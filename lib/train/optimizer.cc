#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>

#include "base/error.h"

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

void restore(Tensor& target, const TensorMap& state, const std::string& name,
             const std::string& origin) {
  const auto found = state.find(name);
  if (found == state.end()) {
    fail(ErrorKind::data, origin + ": the optimizer state lacks the tensor '" + name + "'");
  }
  if (found->second.sizes() != target.sizes()) {
    fail(ErrorKind::data, origin + ": optimizer tensor '" + name + "' has shape " +
                              shape_text(found->second.sizes()) + ", expected " +
                              shape_text(target.sizes()));
  }
  target.copy_(found->second);
}

}  // namespace

AdamW::AdamW(const Parameters& parameters, const TrainConfig& config) : config_(config) {
  decayed_.weight_decay = config.weight_decay;
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    Group& group = is_decayed(item.use) ? decayed_ : plain_;
    group.names.push_back(item.name);
    group.parameters.push_back(item.tensor);
    group.exp_avg.push_back(at::zeros_like(item.tensor.detach()));
    group.exp_avg_sq.push_back(at::zeros_like(item.tensor.detach()));
    if (!step_.defined()) step_ = at::zeros({}, item.tensor.detach().options());
  }
}

void AdamW::update(Group& group, const std::vector<Tensor>& gradients, double lr,
                   const std::optional<Tensor>& divisor, const std::optional<Tensor>& found_inf) {
  if (group.parameters.empty()) return;
  const std::vector<Tensor> steps(group.parameters.size(), step_);
  at::_fused_adamw_(group.parameters, gradients, group.exp_avg, group.exp_avg_sq, {}, steps, lr,
                    config_.beta1, config_.beta2, group.weight_decay, config_.adam_eps,
                    /*amsgrad=*/false, /*maximize=*/false, divisor, found_inf);
}

AdamW::Update AdamW::step(double lr, const Tensor& loss_scale) {
  const at::NoGradGuard no_grad;
  const std::vector<Tensor> decayed = gradients_of(decayed_.parameters);
  const std::vector<Tensor> plain = gradients_of(plain_.parameters);
  std::vector<Tensor> all = decayed;
  all.insert(all.end(), plain.begin(), plain.end());
  Update out{at::linalg_vector_norm(at::stack(at::_foreach_norm(all, 2))), {}};
  // The fused update divides every gradient by the divisor as it reads it, so neither clipping nor
  // the loss scale needs a pass over memory of its own.
  std::optional<Tensor> divisor, found_inf;
  if (loss_scale.defined()) {
    // If any gradient is not finite, the norm is not finite.
    found_inf = out.found_inf = out.norm.isfinite().logical_not().to(at::kFloat);
    out.norm = out.norm / loss_scale;
    divisor = loss_scale;
  }
  if (config_.clip_norm > 0) {
    const Tensor clip = (out.norm / config_.clip_norm).clamp_min(1);
    divisor = divisor ? *divisor * clip : clip;
  }
  step_.add_(1);
  if (found_inf) step_.sub_(*found_inf);
  update(decayed_, decayed, lr, divisor, found_inf);
  update(plain_, plain, lr, divisor, found_inf);
  return out;
}

void AdamW::zero_grad() {
  for (Group* group : {&decayed_, &plain_}) {
    for (Tensor& parameter : group->parameters) parameter.mutable_grad() = Tensor();
  }
}

NamedTensors AdamW::state() const {
  NamedTensors out;
  for (const Group* group : {&decayed_, &plain_}) {
    for (size_t i = 0; i < group->names.size(); ++i) {
      out.emplace_back("exp_avg." + group->names[i], group->exp_avg[i]);
      out.emplace_back("exp_avg_sq." + group->names[i], group->exp_avg_sq[i]);
    }
  }
  out.emplace_back("step", step_);
  return out;
}

void AdamW::load(const TensorMap& state, const std::string& origin) {
  const at::NoGradGuard no_grad;
  size_t known = 1;
  for (Group* group : {&decayed_, &plain_}) {
    for (size_t i = 0; i < group->names.size(); ++i) {
      restore(group->exp_avg[i], state, "exp_avg." + group->names[i], origin);
      restore(group->exp_avg_sq[i], state, "exp_avg_sq." + group->names[i], origin);
    }
    known += 2 * group->names.size();
  }
  restore(step_, state, "step", origin);
  if (state.size() != known) {
    fail(ErrorKind::data, origin + ": the optimizer state holds " + std::to_string(state.size()) +
                              " tensors, expected " + std::to_string(known));
  }
}

}  // namespace mythos
