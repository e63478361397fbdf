#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace mythos {

// Calls `then` whenever a backward pass has added the last it has to the gradient of `parameter`, a
// leaf; an empty function takes the call away again. It is made on the thread of the backward pass,
// at most once in each.
void after_gradient(const at::Tensor& parameter, std::function<void()> then);

}  // namespace mythos
