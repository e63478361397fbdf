#pragma once
#include <vector>

#include "model/verbs.h"
#include "ops/halting/halting.h"

namespace mythos {

// Adaptive computation time (Graves 2016) over the loops: each position's output is the sum of its
// states weighted by halting probabilities. A position whose sum of probabilities reaches the
// threshold has halted. With act its state and keys stay what they are then, and one that never
// reaches it gives the remainder to its last loop, so that the weights always sum to 1. With
// act-reference, as in the public reference, halted positions go on changing what others see, and
// the weights of a position that never reaches the threshold stay below 1.
class HaltingState {
 public:
  HaltingState() = default;
  HaltingState(const ModelConfig& config, int64_t loops) : config_(&config), loops_(loops) {}

  // Takes the new state h [B,S,D] fp32 of the next loop; with `index`, h [1,N,D] is that of these
  // positions of the B·S, which must be all that run. Positions of `stop` (bool, of h's positions,
  // without gradient) end with this loop for another reason and give it what is left.
  void add(const Tensor& h, const HaltingWeights& w, const Tensor& index = {},
           const Tensor& stop = {});
  // Positions that have not halted, [B,S] bool. Needs one loop.
  Tensor running() const { return state_.running.gt(0); }

  Tensor output() const { return state_.output; }  // [B,S,D] fp32
  // The output of the positions of h (with index as add() takes them) if they gave the rest to this
  // state.
  Tensor output_if_stopped(const Tensor& h, const HaltingWeights& w,
                           const Tensor& index = {}) const;
  Tensor weights() const;  // [B,S,T] fp32; 0 for loops after the last
  // Loops run plus the remainder, the differentiable cost (eq. 12), [B,S] fp32.
  Tensor ponder() const;

 private:
  // The state before the next loop, of the positions of `index` alone where that is defined.
  HaltingStep before(const Tensor& h, const Tensor& index) const;

  const ModelConfig* config_ = nullptr;
  int64_t loops_ = 0;
  HaltingStep state_;
  std::vector<Tensor> shares_;
};

}  // namespace mythos
