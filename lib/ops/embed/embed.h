#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// The rows of w [V,D] by ids [...] int64 → [...,D]. On the CPU the gradient of a shared weight
// (linear/weight.h) is added row by row to the weight's sum, so that a tied head needs no second
// gradient of its size.
at::Tensor embed(const at::Tensor& w, const at::Tensor& ids);

}  // namespace mythos
