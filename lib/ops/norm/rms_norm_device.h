#pragma once
#include <cstdint>

#include "device/number_type.h"

// rms_norm() and add_rms_norm() on raw memory of a CUDA device. Rows of `width` numbers, contiguous
// within a row; a, b, sum and s are of `in_type`, out and d_out of `out_type`: each fp32 or the one
// narrow type.
namespace mythos {

struct RmsNormForward {
  const void *a, *b;            // b null: the norm of a, and sum is not written
  const float *shift, *weight;  // [width]; shift may be null
  void *sum, *out;
  float* rstd;  // [rows]
  int64_t rows, width, a_stride, b_stride;
  float eps;
  NumberType in_type, out_type;
};

// The gradient of the sum s of add_rms_norm() from the norm's d_out and, unless null, the sum's own
// d_sum. `partial` has space for partials·width numbers.
struct RmsNormBackward {
  const void* s;
  const float *weight, *rstd;
  const void *d_out, *d_sum;
  void* d_s;
  float *partial, *d_weight;
  int64_t rows, width, s_stride, partials;
  NumberType in_type, out_type;
};

}  // namespace mythos
