#pragma once
#include <torch/types.h>

#include "kernels/attention.h"

namespace mythos::cpu {

// All with a contiguous last dimension. out [B,S,H,dv] and log_sum [B,H,S] fp32 (log Σ exp of each
// row's scaled scores) are written. first_key [B,S] int32, contiguous, or undefined.
void attention_forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                       const torch::Tensor& first_key, const torch::Tensor& out,
                       const torch::Tensor& log_sum);
void attention_of_rows(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                       const PackedRows& rows, const torch::Tensor& first_key,
                       const torch::Tensor& out);
// d_out [B,S,H,dv] → d_q, d_k, d_v of the inputs' shapes, contiguous.
void attention_backward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                        const torch::Tensor& first_key, const torch::Tensor& log_sum,
                        const torch::Tensor& d_out, const torch::Tensor& d_q,
                        const torch::Tensor& d_k, const torch::Tensor& d_v);

}  // namespace mythos::cpu
