#pragma once
#include <torch/types.h>

namespace mythos {

// silu(gate) ⊙ up of gate_up [...,2F] = [gate | up] → [...,F] (Shazeer 2020), computed in fp32 per
// element, in gate_up's type.
torch::Tensor swiglu(const torch::Tensor& gate_up);
torch::Tensor swiglu_reference(const torch::Tensor& gate_up);

}  // namespace mythos
