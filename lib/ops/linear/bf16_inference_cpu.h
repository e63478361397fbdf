#pragma once
#include "ops/linear/matrix.h"

// Products without gradient of a moderate number of bf16 rows (prompts), by
// ops/linear/bf16_products.h: plain weights are read where they lie, and rounded weights are
// expanded piece by piece.
namespace mythos::cpu {

// x wᵀ, x [M,K] bf16 → [M,N].
at::Tensor linear_bf16(const at::Tensor& x, const Matrix& w);
bool linear_bf16_serves(const at::Tensor& x, const Matrix& w);

// moe_swiglu() of ops/moe/moe.h.
at::Tensor moe_bf16(const at::Tensor& x, const at::Tensor& experts, const at::Tensor& weights,
                    const Matrix& gate_up, const Matrix& down);
bool moe_bf16_serves(const at::Tensor& x, const at::Tensor& experts, const Matrix& gate_up,
                     const Matrix& down);

}  // namespace mythos::cpu
