#pragma once
#include <torch/types.h>

namespace mythos {

// Cross-entropy in nats of each row, -log softmax(logits)[target]; 0 where the target is -1.
// logits [N,V] fp32 or bf16, targets [N] int64; result [N] fp32, computed in fp32. Without
// autograd: linear_cross_entropy() is what training differentiates.
torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& targets);
// The same; the contiguous logits become factor times the gradient of the rows' sum.
torch::Tensor cross_entropy_gradient(torch::Tensor& logits, const torch::Tensor& targets,
                                     double factor);
torch::Tensor cross_entropy_reference(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace mythos
