#pragma once
#include <ATen/core/Tensor.h>

#include <any>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

namespace mythos {

// Operators with a backward pass of their own. LibTorch's template for this, autograd::Function,
// costs every file that uses it many seconds of compiling; here one node in autograd.cc serves all.

// Whether an operator must record itself for the backward pass. Without, its plain forward is
// called: inference pays nothing for autograd.
bool wants_graph(std::initializer_list<const at::Tensor*> inputs);

// The arguments of an operator's backward pass.
struct BackwardPass {
  std::vector<at::Tensor> gradients;  // those of the outputs
  std::vector<at::Tensor> saved;      // as Operation::saved
  std::vector<bool> wanted;           // whether an input's gradient leads anywhere
};

// The gradient of each input in order; undefined where there is none.
using Backward = std::function<std::vector<at::Tensor>(BackwardPass&)>;

// The results of a forward pass for autograd.
struct Operation {
  std::vector<at::Tensor> outputs;  // none may be an input itself
  // Inputs, outputs and others that the backward pass reads; they may be undefined. Autograd finds
  // out when one of them is changed in between.
  std::vector<at::Tensor> saved = {};
  // The backward pass; its captures keep what is no tensor of the graph.
  Backward backward = {};
  // Whether the gradient of an unused output is given as zeros; otherwise it is undefined.
  bool unused_as_zeros = true;
  size_t without_gradient = 0;  // so many of the last outputs are not differentiable
  std::any attachment = {};     // found again by attachment_of()
};

// Runs `forward` without autograd and links its outputs to the inputs, which may be undefined, by
// the operation's backward pass. `name` is what profiles call that pass.
std::vector<at::Tensor> record_operation(const char* name, const std::vector<at::Tensor>& inputs,
                                         const std::function<Operation()>& forward);

// The attachment of the operation that `output` came from; null where it came from no operation of
// record_operation().
const std::any* attachment_of(const at::Tensor& output);

}  // namespace mythos
