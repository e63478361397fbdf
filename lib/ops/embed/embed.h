#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// Rows of w [V,D] by ids [...] int64 → [...,D]. On the CPU the gradient of a shared weight is added
// row by row to its sum, so a tied head's is not added to a second one of its size.
at::Tensor embed(const at::Tensor& w, const at::Tensor& ids);

}  // namespace mythos
