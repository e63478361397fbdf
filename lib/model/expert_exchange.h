#pragma once
#include <ATen/core/Tensor.h>

#include "ops/linear/matrix.h"

namespace mythos {

// Routed experts that several processes hold together, each some of them: rows go to where their
// experts are, and their results come back.
class ExpertExchange {
 public:
  virtual ~ExpertExchange() = default;
  // Whether all processes run passes of their own: equally many, of equally many loops and layers,
  // forward and backward, so that a pass must run every loop.
  virtual bool needs_every_loop() const = 0;
  // What moe_swiglu() (ops/moe/moe.h) computes with the experts of all processes. x [N,D], N > 0;
  // experts [N,k] int64, by their numbers in the model; weights [N,k] fp32; gate_up and down are
  // those of the experts that this process holds.
  virtual at::Tensor mixture(const at::Tensor& x, const at::Tensor& experts,
                             const at::Tensor& weights, const Matrix& gate_up,
                             const Matrix& down) = 0;
};

}  // namespace mythos
