#pragma once
#include <torch/types.h>

#include "kernels/matrix.h"

namespace mythos {

// The output head and its loss in one operator, which holds the logits of some rows at a time:
// those of all positions over a large vocabulary would be the largest tensor of a training step. x
// [N,D], w [V,D] fp32 or bf16; targets [N] int64, -1 for rows that do not count. The cross-entropy
// -log softmax(x wᵀ)[target] is in nats, computed in fp32.

// scale · Σ of the rows' cross-entropy, [] fp32. Where a gradient is wanted it is computed along
// with the sum, block by block.
torch::Tensor linear_cross_entropy(const torch::Tensor& x, const torch::Tensor& w,
                                   const torch::Tensor& targets, double scale = 1);
torch::Tensor linear_cross_entropy_reference(const torch::Tensor& x, const torch::Tensor& w,
                                             const torch::Tensor& targets, double scale = 1);

// Each row's cross-entropy, [N] fp32, of a head that may be rounded; without gradient.
torch::Tensor linear_cross_entropy_rows(const torch::Tensor& x, const Matrix& w,
                                        const torch::Tensor& targets);

}  // namespace mythos
