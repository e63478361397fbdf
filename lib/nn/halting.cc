#include "nn/halting.h"

#include <ATen/ATen.h>

namespace mythos {

HaltingState::HaltingState(const ModelConfig& config, const Weights& weights, int64_t loops)
    : config_(config), w_(weights), loops_(loops) {}

void HaltingState::add(const Tensor& h, const Tensor& places) {
  Tensor p = at::sigmoid(at::linear(h, w_.halt_weight, w_.halt_bias)).squeeze(-1);  // [B,S]
  if (places.defined()) {
    p = at::zeros_like(cumulative_).view(-1).index_copy_(0, places, p[0]).view_as(cumulative_);
  }
  if (!output_.defined()) {
    output_ = at::zeros_like(h);
    cumulative_ = at::zeros_like(p);
    running_ = at::ones_like(p);
    steps_ = at::zeros_like(p);
    remainder_ = at::zeros_like(p);
  }
  const Tensor rest = at::clamp_min(1.0 - cumulative_, 0.0);
  Tensor ends = (cumulative_ + p).ge(config_.act_threshold);
  if (config_.halting == Halting::act && static_cast<int64_t>(shares_.size()) + 1 == loops_) {
    ends = at::ones_like(ends);
  }
  const Tensor share = at::where(ends, rest, p) * running_;
  if (places.defined()) {
    const Tensor shares = share.view(-1).index_select(0, places).unsqueeze(-1);
    output_.view({-1, h.size(-1)}).index_add_(0, places, shares * h[0]);
  } else {
    output_ = output_ + share.unsqueeze(-1) * h;
  }
  shares_.push_back(share);
  steps_ = steps_ + running_;
  remainder_ = remainder_ + rest * running_ * ends.to(rest.scalar_type());
  cumulative_ = cumulative_ + p * running_;
  running_ = running_ * cumulative_.lt(config_.act_threshold).to(running_.scalar_type());
}

bool HaltingState::all_halted() const {
  return running_.max().item<float>() == 0.0f;
}

Tensor HaltingState::weights() const {
  std::vector<Tensor> all = shares_;
  while (static_cast<int64_t>(all.size()) < loops_) all.push_back(at::zeros_like(shares_[0]));
  return at::stack(all, -1);
}

Tensor HaltingState::ponder() const {
  return (steps_ + remainder_).mean();
}

}  // namespace mythos
