#pragma once
#include <torch/types.h>

namespace mythos {

// Cross-entropy in nats of each row, -log softmax(logits)[target]; 0 where the target is -1.
// logits [N,V] fp32 or bf16, targets [N] int64; result [N] fp32, computed in fp32.
// The gradient is written over the logits, which must not be used again after the backward pass.
torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& targets);
torch::Tensor cross_entropy_reference(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace mythos
