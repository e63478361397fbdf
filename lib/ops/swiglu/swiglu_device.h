#pragma once
#include <cstdint>

#include "device/number_type.h"

// swiglu() on raw memory of a CUDA device. gate_up [rows,2·width] = [gate | up], out [rows,width];
// both of `type`. Row n is multiplied by scale[slot[n]] where scale is not null.
namespace mythos {

struct SwiGluForward {
  const void* gate_up;
  const float* scale;
  const int64_t* slot;
  void* out;
  int64_t rows, width;
  NumberType type;
};

// The gradients of swiglu() from d_out [rows,width]: d_gate_up, and d_scale[slot[n]] where scale is
// not null.
struct SwiGluBackward {
  const void* gate_up;
  const float* scale;
  const int64_t* slot;
  const void* d_out;
  void* d_gate_up;
  float* d_scale;
  int64_t rows, width;
  NumberType type;
};

}  // namespace mythos
