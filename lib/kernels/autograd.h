#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <initializer_list>

namespace mythos {

// Whether an operator must record itself for the backward pass. Without, its plain forward is
// called: inference pays nothing for autograd.
inline bool wants_graph(std::initializer_list<const torch::Tensor*> inputs) {
  if (!torch::GradMode::is_enabled()) return false;
  for (const torch::Tensor* input : inputs) {
    if (input->defined() && input->requires_grad()) return true;
  }
  return false;
}

}  // namespace mythos
