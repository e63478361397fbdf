#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// The cross-entropy in nats of each row, -log softmax(logits)[target]; 0 if the target is -1.
// logits [N,V] fp32, bf16 or fp16, targets [N] int64; result [N] fp32, computed in fp32. It has no
// gradient; training differentiates linear_cross_entropy().
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets);
// cross_entropy() that also turns the contiguous logits into the gradient of the rows' sum, times
// factor, and times `device_factor` [] fp32 if it is defined.
at::Tensor cross_entropy_gradient(at::Tensor& logits, const at::Tensor& targets, double factor,
                                  const at::Tensor& device_factor = {});
// Turns the contiguous logits into the gradient of the rows' sum weighted by d_loss [N] fp32.
void cross_entropy_row_gradients(at::Tensor& logits, const at::Tensor& targets,
                                 const at::Tensor& d_loss);
// bound · tanh(logits / bound), in the type of the logits, with its gradient.
at::Tensor softcapped(const at::Tensor& logits, double bound);
at::Tensor cross_entropy_reference(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace mythos
