#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace mythos {

// Weights that many products of one graph share: those of a recurrent core's loops, of a tied head.
// Each product would hand autograd a full-size gradient to be added to the others; instead
// apply_linear(), moe_swiglu(), linear_cross_entropy() and embed() add theirs to one fp32 sum,
// which becomes the parameter's gradient when the last of them has run. Other operators may use a
// shared weight like any tensor.

// The zeros that a copy has beyond its parameter if a hidden width is no multiple of what a
// device's matrix units take at a time. Between a matrix with padded rows and one with padded
// columns they change nothing: silu(0) · 0 = 0. Dimension `dim` of a matrix [N,K] consists of
// `parts` equal parts, and each is filled up to a multiple of `multiple`.
struct Padding {
  int64_t dim = 0;
  int64_t parts = 1;
  int64_t multiple = 1;
};
at::Tensor padded(const at::Tensor& w, const Padding& padding);

// The multiple to which hidden widths are padded in copies of this type: 64 in 2-byte types on a
// CUDA device, whose fast products want rows of whole 128 bytes; else 1.
int64_t width_multiple(at::DeviceType device, at::ScalarType type);

// Gives a tensor's memory back, or makes room again; it keeps its shape, and whatever shares its
// memory follows, what autograd keeps for a backward pass too. Nothing may read it in between.
void set_memory(const at::Tensor& tensor, bool there);
bool has_memory(const at::Tensor& tensor);
// A new tensor that has none yet.
at::Tensor without_memory(at::IntArrayRef shape, const at::TensorOptions& options);

// A shared weight: `parameter` (fp32) in `type`, padded; without autograd a mere copy. The gradient
// that reaches the parameter has no padding. If the parameter has no memory (set_memory), neither
// has the weight.
at::Tensor shared_weight(const at::Tensor& parameter, at::ScalarType type,
                         const Padding& padding = {});

// A leaf with the values of `weight`, for a graph inside a backward pass: if the weight is shared,
// gradients go to the same sum, and the leaf's own holds only what other operators leave there.
at::Tensor weight_leaf(const at::Tensor& weight);

// For operators: the sum of the gradients of `w`, undefined before the first addition. Null if the
// gradient is to be returned to autograd.
at::Tensor* gradient_sum(const at::Tensor& w);

// Products that an operator has put off, to compute those of several loops at once.
class DelayedProducts {
 public:
  virtual ~DelayedProducts() = default;
  // Adds the products to the weight's sum, which may still be undefined, and forgets them.
  virtual void add_to(at::Tensor& sum) = 0;
};
// Holds the delayed products of `w`, empty at first; they are added before the sum is handed on.
// Null if there is no sum.
std::unique_ptr<DelayedProducts>* delayed_products(const at::Tensor& w);

}  // namespace mythos
