#pragma once
#include <torch/types.h>

#include "kernels/matrix.h"

namespace mythos {

// Routed experts (DeepSeekMoE, Dai et al. 2024): out[n] = Σ_j weights[n,j] · E_{experts[n,j]}(x[n])
// with E(x) = down · (silu(gate x) ⊙ up x).
// x [N,D]; experts [N,k] int64 in 0…E-1; weights [N,k] fp32; gate_up [E,2F,D]; down [E,D,F];
// result [N,D] in x's type. Tokens are sorted by expert and each expert takes its slice in one
// product; experts without tokens cost nothing.
torch::Tensor moe_swiglu(const torch::Tensor& x, const torch::Tensor& experts,
                         const torch::Tensor& weights, const torch::Tensor& gate_up,
                         const torch::Tensor& down);
// The same of weights that may be rounded, one expert expanded at a time. Without gradient then.
torch::Tensor moe_swiglu(const torch::Tensor& x, const torch::Tensor& experts,
                         const torch::Tensor& weights, const Matrix& gate_up, const Matrix& down);
// Every expert on every token, then masked: slow and plain.
torch::Tensor moe_swiglu_reference(const torch::Tensor& x, const torch::Tensor& experts,
                                   const torch::Tensor& weights, const torch::Tensor& gate_up,
                                   const torch::Tensor& down);

}  // namespace mythos
