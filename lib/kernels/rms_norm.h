#pragma once
#include <torch/types.h>

#include <optional>
#include <utility>

namespace mythos {

// x / sqrt(mean(x²) + eps) ⊙ weight over the last dimension (Zhang and Sennrich 2019), statistics
// in fp32. x [...,D] fp32 or bf16, weight [D] fp32; the result has `type`, by default that of x.
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                       std::optional<torch::Dtype> type = std::nullopt);

// s = a + b (+ shift) and rms_norm(s), in one pass over memory, with its backward. a [...,D]; b of
// the same shape and type; shift [D] fp32 without gradient, may be undefined. Returns {s in a's
// type, the norm in `type`}.
std::pair<torch::Tensor, torch::Tensor> add_rms_norm(
    const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& shift,
    const torch::Tensor& weight, double eps, std::optional<torch::Dtype> type = std::nullopt);

// The same from plain tensor operations: what the two are tested against.
torch::Tensor rms_norm_reference(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                                 std::optional<torch::Dtype> type = std::nullopt);

}  // namespace mythos
