#pragma once
#include <ATen/core/Tensor.h>

namespace mythos::cpu {

// gate_up [N,2F] = [gate | up] → out [N,F] = silu(gate) ⊙ up, each row times scale [N] where
// defined.
void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& out);
// The gradients of swiglu(): d_out [N,F] → d_gate_up [N,2F], and d_scale [N] where scale is
// defined.
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& d_out,
                     const at::Tensor& d_gate_up, const at::Tensor& d_scale);

}  // namespace mythos::cpu
