#pragma once
#include <ATen/core/Tensor.h>

namespace mythos::cpu {

// Adds part to sum without a copy of part in between. sum is fp32, part bf16; both are contiguous
// and of one size.
void accumulate(const at::Tensor& sum, const at::Tensor& part);

}  // namespace mythos::cpu
