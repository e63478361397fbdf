#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// The state update of an LTI injection, h' = A⊙h + B⊙e + r (Parcae, Prairie et al. 2026;
// OpenMythos), in one pass over memory, with its backward. h, e [...,D] fp32; r [...,D] fp32 or
// bf16 or fp16; A, B [D] fp32. Result fp32: the state keeps full precision.
at::Tensor inject(const at::Tensor& h, const at::Tensor& e, const at::Tensor& r,
                  const at::Tensor& A, const at::Tensor& B);
// inject() from plain tensor operations, for tests.
at::Tensor inject_reference(const at::Tensor& h, const at::Tensor& e, const at::Tensor& r,
                            const at::Tensor& A, const at::Tensor& B);

}  // namespace mythos
