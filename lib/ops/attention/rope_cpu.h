#pragma once
#include <ATen/core/Tensor.h>

#include "config/model_config.h"

namespace mythos::cpu {

// x [B,S,H,d] with contiguous heads and channels → out, contiguous. `direction` is 1 for the
// rotation and -1 for its inverse, which is its gradient.
void rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float direction,
          RopePairing pairing, const at::Tensor& out);

}  // namespace mythos::cpu
