#include "model/halting.h"

#include <ATen/ATen.h>

namespace mythos {
namespace {

// What changes from loop to loop, each part with a row for each position.
constexpr Tensor HaltingStep::*kParts[] = {&HaltingStep::output, &HaltingStep::cumulative,
                                           &HaltingStep::remainder, &HaltingStep::running,
                                           &HaltingStep::steps};

// The bias of a loop: positions cannot halt in the first ones, where probabilities are 0.
Tensor bias_of_loop(const ModelConfig& config, const HaltingWeights& w, size_t loops_before) {
  const bool may_halt = static_cast<int64_t>(loops_before) + 1 >= config.min_halt_loops;
  return may_halt ? w.bias : at::full_like(w.bias.detach(), -1e9);
}

// x [B,S,...] as a row for each position, in the same memory.
Tensor rows_of(const Tensor& x) {
  return x.dim() == 3 ? x.view({-1, x.size(2)}) : x.view(-1);
}

}  // namespace

HaltingStep HaltingState::before(const Tensor& h, const Tensor& index) const {
  if (!state_.output.defined()) {
    const Tensor none = at::zeros({h.size(0), h.size(1)}, h.options());
    return {at::zeros_like(h), none, none, at::ones_like(none), none, {}};
  }
  if (!index.defined()) return state_;
  HaltingStep some;
  for (const auto part : kParts) {
    some.*part = rows_of(state_.*part).index_select(0, index).unsqueeze(0);
  }
  return some;
}

void HaltingState::add(const Tensor& h, const HaltingWeights& w, const Tensor& index,
                       const Tensor& stop) {
  const bool last = static_cast<int64_t>(shares_.size()) + 1 == loops_;
  const bool closes = last && config_->halting == Halting::act;
  HaltingStep next = halting_step(h, w.weight, bias_of_loop(*config_, w, shares_.size()),
                                  before(h, index), config_->act_threshold, closes);
  if (stop.defined() && (!last || closes)) {
    const Tensor ends = stop.to(at::kFloat) * next.running;
    const Tensor rest = ends * (1 - next.cumulative);
    next.output = at::addcmul(next.output, rest.unsqueeze(-1), h);
    next.share = next.share + rest;
    next.running = next.running - ends;
  }
  if (!index.defined()) {
    state_ = next;
  } else {
    for (const auto part : kParts) {
      rows_of(state_.*part).index_copy_(0, index, (next.*part).squeeze(0));
    }
    state_.share = at::zeros_like(state_.steps);
    rows_of(state_.share).index_copy_(0, index, next.share.squeeze(0));
  }
  shares_.push_back(state_.share);
}

Tensor HaltingState::output_if_stopped(const Tensor& h, const HaltingWeights& w,
                                       const Tensor& index) const {
  const bool last = static_cast<int64_t>(shares_.size()) + 1 == loops_;
  const bool closes = !last || config_->halting == Halting::act;
  return halting_step(h, w.weight, bias_of_loop(*config_, w, shares_.size()), before(h, index),
                      config_->act_threshold, closes)
      .output;
}

Tensor HaltingState::ponder() const {
  return state_.steps + state_.remainder;
}

Tensor HaltingState::weights() const {
  std::vector<Tensor> all = shares_;
  while (static_cast<int64_t>(all.size()) < loops_) all.push_back(at::zeros_like(shares_[0]));
  return at::stack(all, -1);
}

}  // namespace mythos
