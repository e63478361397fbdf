#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// The tensors that adaptive computation time (Graves 2016) carries from loop to loop: `output` has
// the shape of h [...,D], the others that of its positions [...]; all are fp32.
struct HaltingStep {
  at::Tensor output;      // Σ share·h
  at::Tensor cumulative;  // Σ halting probability while running
  at::Tensor remainder;   // what the last loop got
  at::Tensor running;     // 1 until the position halts, then 0; without gradient
  at::Tensor steps;       // loops run; without gradient
  at::Tensor share;       // weight of the state of the loop just added
};

// Takes the next loop's state h into account, with the halting probability p = sigmoid(h·weight +
// bias), weight [1,D], bias [1]. A position whose cumulative probability reaches `threshold` gives
// this loop the remaining share and halts; with `last` every position does. `before` needs no
// share.
HaltingStep halting_step(const at::Tensor& h, const at::Tensor& weight, const at::Tensor& bias,
                         const HaltingStep& before, double threshold, bool last);
// halting_step() from plain tensor operations, which also serve the CPU.
HaltingStep halting_step_reference(const at::Tensor& h, const at::Tensor& weight,
                                   const at::Tensor& bias, const HaltingStep& before,
                                   double threshold, bool last);

}  // namespace mythos
