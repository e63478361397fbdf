#pragma once
#include <ATen/core/Tensor.h>

#include "ops/attention/attention.h"

namespace mythos::cpu {

// causal_attention() on the CPU; the last dimension of every tensor is contiguous. Writes out
// [B,S,H,dv] and log_sum [B,H,S] fp32 (log Σ exp of each row's scaled scores). first_key [B,S]
// int32, contiguous, or undefined.
void attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& first_key, const at::Tensor& out,
                       const at::Tensor& log_sum);
void attention_of_rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const PackedRows& rows, const at::Tensor& first_key, const at::Tensor& out);
// The gradients of causal_attention(): d_out [B,S,H,dv] → d_q, d_k, d_v of the inputs' shapes,
// contiguous.
void attention_backward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const at::Tensor& first_key, const at::Tensor& log_sum,
                        const at::Tensor& d_out, const at::Tensor& d_q, const at::Tensor& d_k,
                        const at::Tensor& d_v);

}  // namespace mythos::cpu
