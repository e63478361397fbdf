#pragma once
#include <torch/types.h>

// The CUDA twins of the functions in the *_cpu.h headers, with their contracts, over the entry
// points of the .cu files. Call them only where backend_of() says Backend::cuda. None waits for the
// device.
namespace mythos::cuda {

// Into how many blocks the kernels of a weight's gradient cut `rows`: enough for every
// multiprocessor; more would only lengthen the sum over blocks.
int64_t row_partials(int64_t rows);

void rms_norm_forward(const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& shift,
                      const torch::Tensor& weight, double eps, const torch::Tensor& s,
                      const torch::Tensor& out, const torch::Tensor& rstd);
void rms_norm_backward(const torch::Tensor& s, const torch::Tensor& weight,
                       const torch::Tensor& rstd, const torch::Tensor& d_out,
                       const torch::Tensor& d_sum, const torch::Tensor& d_s,
                       const torch::Tensor& d_weight);

// Row n's factor is scale[slot[n]], and its gradient goes to d_scale[slot[n]]: slot [N] int64 is
// defined where scale is.
void swiglu_forward(const torch::Tensor& gate_up, const torch::Tensor& scale,
                    const torch::Tensor& slot, const torch::Tensor& out);
void swiglu_backward(const torch::Tensor& gate_up, const torch::Tensor& scale,
                     const torch::Tensor& slot, const torch::Tensor& d_out,
                     const torch::Tensor& d_gate_up, const torch::Tensor& d_scale);

void rope(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin,
          float direction, const torch::Tensor& out);

void cross_entropy_forward(const torch::Tensor& logits, const torch::Tensor& targets,
                           const torch::Tensor& loss, const torch::Tensor& log_sum);
void cross_entropy_backward(const torch::Tensor& logits, const torch::Tensor& targets,
                            const torch::Tensor& log_sum, const torch::Tensor& d_loss);

}  // namespace mythos::cuda
