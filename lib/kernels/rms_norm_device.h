#pragma once
#include <cstdint>

// rms_norm() and add_rms_norm() on raw memory of a CUDA device. Rows of `width` numbers, contiguous
// within a row; a, b, sum and s are bf16 when in_bf16, else fp32; out and d_out when out_bf16.
namespace mythos {

struct RmsNormForward {
  const void *a, *b;            // b null: the norm of a, and sum is not written
  const float *shift, *weight;  // [width]; shift may be null
  void *sum, *out;
  float* rstd;  // [rows]
  int64_t rows, width, a_stride, b_stride;
  float eps;
  bool in_bf16, out_bf16;
};

// Gradient of the sum s from the norm's d_out and, unless null, the sum's own d_sum. `partial` has
// space for partials·width numbers.
struct RmsNormBackward {
  const void* s;
  const float *weight, *rstd;
  const void *d_out, *d_sum;
  void* d_s;
  float *partial, *d_weight;
  int64_t rows, width, s_stride, partials;
  bool in_bf16, out_bf16;
};

}  // namespace mythos
