#pragma once
#include <torch/types.h>

namespace mythos::cpu {

// gate_up [N,2F] = [gate | up] → out [N,F] = silu(gate) ⊙ up, each row times scale [N] where
// defined.
void swiglu_forward(const torch::Tensor& gate_up, const torch::Tensor& scale,
                    const torch::Tensor& out);
// d_out [N,F] → d_gate_up [N,2F], and d_scale [N] where scale is defined.
void swiglu_backward(const torch::Tensor& gate_up, const torch::Tensor& scale,
                     const torch::Tensor& d_out, const torch::Tensor& d_gate_up,
                     const torch::Tensor& d_scale);

}  // namespace mythos::cpu
