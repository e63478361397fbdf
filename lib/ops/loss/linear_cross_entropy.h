#pragma once
#include <ATen/core/Tensor.h>

#include "ops/linear/matrix.h"

namespace mythos {

// The output head and its loss in one operator, which holds the logits of only some rows at a time:
// the logits of all positions over a large vocabulary would be the largest tensor of a training
// step. x [N,D], w [V,D] fp32, bf16 or fp16; targets [N] int64, -1 for rows that do not count. The
// cross-entropy -log softmax(x wᵀ)[target] is in nats, computed in fp32. With a `softcap` s above 0
// the logits are s·tanh(x wᵀ / s).

// The sum of the rows' cross-entropy, [] fp32, times scale, and times `device_scale` [] fp32 if it
// is defined. If a gradient is wanted it is computed along with the sum, block by block, and
// multiplied by both factors before it is rounded.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& w, const at::Tensor& targets,
                                double scale = 1, const at::Tensor& device_scale = {},
                                double softcap = 0);
at::Tensor linear_cross_entropy_reference(const at::Tensor& x, const at::Tensor& w,
                                          const at::Tensor& targets, double scale = 1,
                                          double softcap = 0);

// Each row's cross-entropy, [N] fp32, 0 where the target is -1, with a gradient: for sums whose
// weights of rows are learned too. Its backward pass forms the logits again.
at::Tensor linear_cross_entropy_each(const at::Tensor& x, const at::Tensor& w,
                                     const at::Tensor& targets, double softcap = 0);
at::Tensor linear_cross_entropy_each_reference(const at::Tensor& x, const at::Tensor& w,
                                               const at::Tensor& targets, double softcap = 0);

// The number of rows whose logits are formed at a time: those of 2^24 numbers, or of 2^28 on a CUDA
// device, which needs larger products for its full speed.
int64_t rows_at_a_time(at::DeviceType device, int64_t classes);

// Each row's cross-entropy, [N] fp32, of a head that may be rounded; without gradient.
at::Tensor linear_cross_entropy_rows(const at::Tensor& x, const Matrix& w,
                                     const at::Tensor& targets, double softcap = 0);

}  // namespace mythos
