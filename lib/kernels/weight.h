#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// A matrix that many products of one graph share: the loops of a recurrent core, a tied head. Each
// product would hand autograd a full-size gradient to be added to the others'; here apply_linear(),
// moe_swiglu(), linear_cross_entropy() and embed() add theirs to one fp32 sum, which becomes the
// gradient of the parameter when the last of them has run. Other operators may use the result like
// any tensor.

// `parameter` (fp32) in `type`; without autograd a mere cast.
at::Tensor shared_weight(const at::Tensor& parameter, at::ScalarType type);

// A leaf with the values of `weight`, for a graph inside a backward pass: if the weight is shared,
// gradients go to the same sum, and the leaf's own holds only what other operators leave there.
at::Tensor weight_leaf(const at::Tensor& weight);

// For the operators: where the gradient of `w` is summed, undefined before the first addition. Null
// when it is to be returned to autograd.
at::Tensor* gradient_sum(const at::Tensor& w);

}  // namespace mythos
