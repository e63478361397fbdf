#pragma once
#include <cstdint>

#include "device/number_type.h"

// inject() on raw memory, one implementation per device. Rows of `width` numbers; r is of
// `r_type`; everything else is fp32.
namespace mythos {

struct InjectForward {
  const float *h, *e;
  const void* r;
  const float *A, *B;
  float* out;
  int64_t rows, width;
  NumberType r_type;
};

// The gradients of inject() from d [rows,width]: d_h = A⊙d, d_e = B⊙d, d_A = Σ d⊙h and d_B = Σ d⊙e
// over rows; d_r is d. `partial` has space for 2·partials·width numbers.
struct InjectBackward {
  const float *d, *h, *e, *A, *B;
  float *d_h, *d_e, *partial, *d_A, *d_B;
  int64_t rows, width, partials;
};

namespace cpu {
void inject_forward(const InjectForward& args);
void inject_backward(const InjectBackward& args);
}  // namespace cpu

}  // namespace mythos
