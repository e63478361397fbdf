#pragma once
#include <ATen/core/Tensor.h>

#include "config/model_config.h"
#include "device/number_type.h"

// The CUDA twins of the functions in the *_cpu.h headers, with their contracts, over the entry
// points of the .cu files. Call them only where backend_of() says Backend::cuda. None waits for the
// device.
namespace mythos::cuda {

NumberType number_type(const at::Tensor& x);

// The number of blocks into which kernels of a weight's gradient cut `rows`: enough for every
// multiprocessor, as more would only lengthen the sum over blocks.
int64_t row_partials(int64_t rows);

void rms_norm_forward(const at::Tensor& a, const at::Tensor& b, const at::Tensor& shift,
                      const at::Tensor& weight, double eps, const at::Tensor& s,
                      const at::Tensor& out, const at::Tensor& rstd);
void rms_norm_backward(const at::Tensor& s, const at::Tensor& weight, const at::Tensor& rstd,
                       const at::Tensor& d_out, const at::Tensor& d_sum, const at::Tensor& d_s,
                       const at::Tensor& d_weight);

// Row n's factor is scale[slot[n]], and its gradient goes to d_scale[slot[n]]: slot [N] int64 is
// defined where scale is.
void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& slot,
                    const at::Tensor& out);
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& slot,
                     const at::Tensor& d_out, const at::Tensor& d_gate_up,
                     const at::Tensor& d_scale);

void rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float direction,
          RopePairing pairing, const at::Tensor& out);

void cross_entropy_forward(const at::Tensor& logits, const at::Tensor& targets,
                           const at::Tensor& loss, const at::Tensor& log_sum);
void cross_entropy_backward(const at::Tensor& logits, const at::Tensor& targets,
                            const at::Tensor& log_sum, const at::Tensor& d_loss);

}  // namespace mythos::cuda
