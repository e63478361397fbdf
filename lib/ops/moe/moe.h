#pragma once
#include <ATen/core/Tensor.h>

#include "ops/linear/matrix.h"

namespace mythos {

// Routed experts (DeepSeekMoE, Dai et al. 2024): out[n] = Σ_j weights[n,j] · E_{experts[n,j]}(x[n])
// with E(x) = down · (silu(gate x) ⊙ up x).
// x [N,D]; experts [N,k] int64 in 0…E-1; weights [N,k] fp32; gate_up [E,2F,D]; down [E,D,F];
// result [N,D] in x's type. Tokens are sorted by expert and each expert takes its slice in one
// product; experts without tokens cost nothing. Rounded gate_up and down have no gradient;
// one expert of them is expanded at a time.
at::Tensor moe_swiglu(const at::Tensor& x, const at::Tensor& experts, const at::Tensor& weights,
                      const Matrix& gate_up, const Matrix& down);
// moe_swiglu() in plain operations, for tests: every expert on every token, then masked.
at::Tensor moe_swiglu_reference(const at::Tensor& x, const at::Tensor& experts,
                                const at::Tensor& weights, const at::Tensor& gate_up,
                                const at::Tensor& down);

}  // namespace mythos
