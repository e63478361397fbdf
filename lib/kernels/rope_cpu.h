#pragma once
#include <torch/types.h>

namespace mythos::cpu {

// x [B,S,H,d] with contiguous heads and channels → out, contiguous. `direction` is 1 for the
// rotation and -1 for its inverse, which is its gradient.
void rope(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin,
          float direction, const torch::Tensor& out);

}  // namespace mythos::cpu
