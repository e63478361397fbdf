#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace mythos {

// A matrix that many products of one graph share: the loops of a recurrent core, a tied head. Each
// product would hand autograd a full-size gradient to be added to the others'; here apply_linear(),
// moe_swiglu(), linear_cross_entropy() and embed() add theirs to one fp32 sum, which becomes the
// gradient of the parameter when the last of them has run. Other operators may use the result like
// any tensor.

// Zeros that a copy has beyond its parameter, where a hidden width is no multiple of what a
// device's matrix units take at a time. Between a matrix whose rows and one whose columns are
// padded they change nothing: silu(0) · 0 = 0. Of a matrix [N,K], dimension `dim` consists of
// `parts` equal parts, and each is filled up to a multiple of `multiple`.
struct Padding {
  int64_t dim = 0;
  int64_t parts = 1;
  int64_t multiple = 1;
};
at::Tensor padded(const at::Tensor& w, const Padding& padding);

// The multiple of hidden widths in copies of this type: 64 in 2-byte types on a CUDA device, whose
// fast products want rows of whole 128 bytes; else 1.
int64_t width_multiple(at::DeviceType device, at::ScalarType type);

// `parameter` (fp32) in `type`, padded; without autograd a mere copy. Its gradient is as the
// parameter, without padding.
at::Tensor shared_weight(const at::Tensor& parameter, at::ScalarType type,
                         const Padding& padding = {});

// A leaf with the values of `weight`, for a graph inside a backward pass: if the weight is shared,
// gradients go to the same sum, and the leaf's own holds only what other operators leave there.
at::Tensor weight_leaf(const at::Tensor& weight);

// For the operators: where the gradient of `w` is summed, undefined before the first addition. Null
// when it is to be returned to autograd.
at::Tensor* gradient_sum(const at::Tensor& w);

// Products that an operator has put off, to take those of several loops at once.
class DelayedProducts {
 public:
  virtual ~DelayedProducts() = default;
  // Adds them to the weight's sum, which may be undefined yet, and forgets them.
  virtual void add_to(at::Tensor& sum) = 0;
};
// Where an operator leaves those of `w`, empty at first. They are added before the sum is handed
// on. Null when there is no sum.
std::unique_ptr<DelayedProducts>* delayed_products(const at::Tensor& w);

}  // namespace mythos
