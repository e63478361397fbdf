#pragma once
#include "ops/linear/matrix.h"

namespace mythos::cpu {

// Whether round_rows() takes rows [M,K]: fp32 or bf16 on the CPU, one behind the other.
bool round_rows_serves(const at::Tensor& rows);

// Rounds rows to int8 or int4 as quantize() does, on all threads: values [M,·] and bf16 scales
// [M,G] as a Matrix holds them.
void round_rows(const at::Tensor& rows, WeightFormat format, const at::Tensor& values,
                const at::Tensor& scales);

}  // namespace mythos::cpu
