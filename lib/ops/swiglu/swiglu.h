#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// silu(gate) ⊙ up of gate_up [...,2F] = [gate | up] → [...,F] (Shazeer 2020), computed in fp32 per
// element, in gate_up's type.
at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor swiglu_reference(const at::Tensor& gate_up);

}  // namespace mythos
