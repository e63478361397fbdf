#pragma once
#include <torch/types.h>

namespace mythos::cpu {

// sum += part, without a copy of part in between. sum fp32, part bf16, contiguous and of one size.
void accumulate(const torch::Tensor& sum, const torch::Tensor& part);

}  // namespace mythos::cpu
