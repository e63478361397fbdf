#pragma once
#include <cstdint>

#include "device/number_type.h"

// rope() on raw memory of a CUDA device: x [batch,length,heads,width] with contiguous heads and
// channels → out, contiguous; both of `type`. cos and sin [length,pairs]; the last
// 2·pairs channels of each head turn, by the angle (direction 1) or back (-1, the gradient): those
// side by side together or, with `halves`, those that are `pairs` apart.
namespace mythos {

struct Rope {
  const void* x;
  const float *cos, *sin;
  void* out;
  int64_t batch, length, heads, width, pairs, batch_stride, position_stride;
  float direction;
  NumberType type;
  bool halves;
};

}  // namespace mythos
