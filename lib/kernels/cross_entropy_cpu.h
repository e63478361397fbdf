#pragma once
#include <torch/types.h>

namespace mythos::cpu {

// logits [N,V] fp32 or bf16, targets [N] → loss [N] and log_sum [N] (log Σ exp), fp32.
void cross_entropy_forward(const torch::Tensor& logits, const torch::Tensor& targets,
                           const torch::Tensor& loss, const torch::Tensor& log_sum);
// logits ← (softmax(logits) - onehot(target))·d_loss, in place.
void cross_entropy_backward(const torch::Tensor& logits, const torch::Tensor& targets,
                            const torch::Tensor& log_sum, const torch::Tensor& d_loss);

}  // namespace mythos::cpu
