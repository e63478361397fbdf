#pragma once
#include <torch/types.h>

namespace mythos::cpu {

// Rows of a 2-D tensor whose last dimension is contiguous. b and shift may be undefined.
// s [N,D] (undefined when b and shift are: then s is a), out [N,D], rstd [N] fp32 are written.
void rms_norm_forward(const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& shift,
                      const torch::Tensor& weight, double eps, const torch::Tensor& s,
                      const torch::Tensor& out, const torch::Tensor& rstd);

// Gradient of the sum s: from the norm's gradient d_out and, where defined, the sum's own d_sum.
// Writes d_s [N,D] in s's type and d_weight [D] fp32.
void rms_norm_backward(const torch::Tensor& s, const torch::Tensor& weight,
                       const torch::Tensor& rstd, const torch::Tensor& d_out,
                       const torch::Tensor& d_sum, const torch::Tensor& d_s,
                       const torch::Tensor& d_weight);

}  // namespace mythos::cpu
