#pragma once
#include <torch/types.h>

namespace mythos {

// Rows of w [V,D] by ids [...] int64 → [...,D]. On the CPU the gradient of a shared weight is added
// row by row to its sum, so a tied head's is not added to a second one of its size.
torch::Tensor embed(const torch::Tensor& w, const torch::Tensor& ids);

}  // namespace mythos
