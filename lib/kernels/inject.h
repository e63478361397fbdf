#pragma once
#include <torch/types.h>

namespace mythos {

// The state update of an LTI injection, h' = A⊙h + B⊙e + r (Parcae, Prairie et al. 2026;
// OpenMythos), in one pass over memory, with its backward. h, e [...,D] fp32; r [...,D] fp32 or
// bf16; A, B [D] fp32. Result fp32: the state keeps full precision.
torch::Tensor inject(const torch::Tensor& h, const torch::Tensor& e, const torch::Tensor& r,
                     const torch::Tensor& A, const torch::Tensor& B);
// The same from plain tensor operations: what inject() is tested against.
torch::Tensor inject_reference(const torch::Tensor& h, const torch::Tensor& e,
                               const torch::Tensor& r, const torch::Tensor& A,
                               const torch::Tensor& B);

}  // namespace mythos
