#pragma once
#include <torch/types.h>

namespace mythos {

// x / sqrt(mean(x²) + eps) ⊙ weight over the last dimension (Zhang and Sennrich 2019), statistics in
// fp32. x [...,D], weight [D] fp32; the result has x's type.
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps);
// rms_norm(a + b) without storing the sum twice; a and b of one shape. Returns the norm only.
torch::Tensor add_rms_norm(const torch::Tensor& a, const torch::Tensor& b,
                           const torch::Tensor& weight, double eps);
torch::Tensor rms_norm_reference(const torch::Tensor& x, const torch::Tensor& weight, double eps);

}  // namespace mythos
