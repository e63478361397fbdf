#pragma once
#include <ATen/core/Tensor.h>

namespace mythos::cpu {

// sum += part, without a copy of part in between. sum fp32, part bf16, contiguous and of one size.
void accumulate(const at::Tensor& sum, const at::Tensor& part);

}  // namespace mythos::cpu
