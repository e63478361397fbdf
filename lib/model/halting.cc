#include "model/halting.h"

#include <ATen/ATen.h>

namespace mythos {
namespace {

// What changes from loop to loop, each part with one row a position.
constexpr Tensor HaltingStep::*kParts[] = {&HaltingStep::output, &HaltingStep::cumulative,
                                           &HaltingStep::remainder, &HaltingStep::running,
                                           &HaltingStep::steps};

// One row a position, of the same memory.
Tensor rows_of(const Tensor& x) {
  return x.dim() == 3 ? x.view({-1, x.size(2)}) : x.view(-1);
}

}  // namespace

HaltingState::HaltingState(const ModelConfig& config, const Weights& weights, int64_t loops)
    : config_(config), w_(weights), loops_(loops) {}

void HaltingState::add(const Tensor& h, const Tensor& places) {
  if (!state_.output.defined()) {
    const Tensor none = at::zeros({h.size(0), h.size(1)}, h.options());
    state_ = {at::zeros_like(h), none, none, at::ones_like(none), none, {}};
  }
  const bool last =
      config_.halting == Halting::act && static_cast<int64_t>(shares_.size()) + 1 == loops_;
  const auto step = [&](const Tensor& rows, const HaltingStep& before) {
    return halting_step(rows, w_.core.halting.weight, w_.core.halting.bias, before,
                        config_.act_threshold, last);
  };
  if (!places.defined()) {
    state_ = step(h, state_);
  } else {
    HaltingStep some;
    for (const auto part : kParts) {
      some.*part = rows_of(state_.*part).index_select(0, places);
    }
    const HaltingStep next = step(h[0], some);
    for (const auto part : kParts) {
      rows_of(state_.*part).index_copy_(0, places, next.*part);
    }
    state_.share = at::zeros_like(state_.steps);
    rows_of(state_.share).index_copy_(0, places, next.share);
  }
  shares_.push_back(state_.share);
}

bool HaltingState::all_halted() const {
  return state_.running.max().item<float>() == 0.0f;
}

Tensor HaltingState::weights() const {
  std::vector<Tensor> all = shares_;
  while (static_cast<int64_t>(all.size()) < loops_) all.push_back(at::zeros_like(shares_[0]));
  return at::stack(all, -1);
}

}  // namespace mythos
