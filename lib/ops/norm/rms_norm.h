#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

namespace mythos {

// x / sqrt(mean(x²) + eps) ⊙ weight over the last dimension (Zhang and Sennrich 2019), statistics
// in fp32. x [...,D] fp32, bf16 or fp16, weight [D] fp32; the result has `type`, by default that of
// x.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    std::optional<at::ScalarType> type = std::nullopt);

// s = a + b (+ shift) and rms_norm(s), in one pass over memory, with its backward. a [...,D]; b of
// the same shape and type; shift [D] fp32 without gradient, may be undefined. Returns {s in a's
// type, the norm in `type`}.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& a, const at::Tensor& b,
                                               const at::Tensor& shift, const at::Tensor& weight,
                                               double eps,
                                               std::optional<at::ScalarType> type = std::nullopt);

// rms_norm() from plain tensor operations, for tests.
at::Tensor rms_norm_reference(const at::Tensor& x, const at::Tensor& weight, double eps,
                              std::optional<at::ScalarType> type = std::nullopt);

}  // namespace mythos
