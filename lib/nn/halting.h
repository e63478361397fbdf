#pragma once
#include <vector>

#include "nn/weights.h"

namespace mythos {

// Adaptive computation time (Graves 2016) over the loops: each position's output is the sum of its
// states weighted by halting probabilities. act-reference leaves the weights of a position that
// never reaches the threshold below 1, as the public reference does; act gives the remainder to its
// last running loop, so they always sum to 1.
class HaltingState {
 public:
  HaltingState(const ModelConfig& config, const Weights& weights, int64_t loops);

  // Takes the new state h [B,S,D] fp32 of the next loop.
  void add(const Tensor& h);
  // Whether no position runs any more. Reads one number back from the device.
  bool all_halted() const;

  Tensor output() const { return output_; }  // [B,S,D] fp32
  Tensor weights() const;                    // [B,S,T] fp32; 0 for loops after the last
  // Mean over positions of loops run plus the remainder, the differentiable cost (eq. 12).
  Tensor ponder() const;

 private:
  const ModelConfig& config_;
  const Weights& w_;
  int64_t loops_;
  Tensor output_, cumulative_, running_, steps_, remainder_;
  std::vector<Tensor> shares_;
};

}  // namespace mythos
