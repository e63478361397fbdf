#pragma once
#include <ATen/core/Tensor.h>

namespace mythos::cpu {

// rms_norm() and add_rms_norm() on the CPU, over rows of 2-D tensors whose last dimension is
// contiguous. b and shift may be undefined. Writes s [N,D] (undefined if b and shift are: then s is
// a), out [N,D] and rstd [N] fp32.
void rms_norm_forward(const at::Tensor& a, const at::Tensor& b, const at::Tensor& shift,
                      const at::Tensor& weight, double eps, const at::Tensor& s,
                      const at::Tensor& out, const at::Tensor& rstd);

// The gradient of the sum s of add_rms_norm(): from the norm's gradient d_out and, where defined,
// the sum's own d_sum. Writes d_s [N,D] in s's type and d_weight [D] fp32.
void rms_norm_backward(const at::Tensor& s, const at::Tensor& weight, const at::Tensor& rstd,
                       const at::Tensor& d_out, const at::Tensor& d_sum, const at::Tensor& d_s,
                       const at::Tensor& d_weight);

}  // namespace mythos::cpu
