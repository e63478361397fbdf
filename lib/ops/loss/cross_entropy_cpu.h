#pragma once
#include <ATen/core/Tensor.h>

namespace mythos::cpu {

// logits [N,V] fp32 or bf16, targets [N] → loss [N] and log_sum [N] (log Σ exp), fp32.
void cross_entropy_forward(const at::Tensor& logits, const at::Tensor& targets,
                           const at::Tensor& loss, const at::Tensor& log_sum);
// The gradient of cross_entropy(): logits ← (softmax(logits) - onehot(target))·d_loss, in place.
void cross_entropy_backward(const at::Tensor& logits, const at::Tensor& targets,
                            const at::Tensor& log_sum, const at::Tensor& d_loss);

}  // namespace mythos::cpu
