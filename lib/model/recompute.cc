#include "model/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops/autograd.h"
#include "ops/linear/weight.h"

namespace mythos {
namespace {

// The gradients of a segment's inputs by running it again.
std::vector<Tensor> backward(const BackwardPass& pass, const Segment& segment) {
  std::vector<Tensor> leaves, wanted, outputs;
  {
    const at::AutoGradMode with_graph(true);
    for (const Tensor& saved : pass.saved) {
      leaves.push_back(saved.defined() ? weight_leaf(saved) : Tensor());
      if (saved.defined() && saved.requires_grad()) wanted.push_back(leaves.back());
    }
    outputs = segment(leaves, /*again=*/true);
  }
  // The others led nowhere, or come from frozen weights and inputs alone.
  std::vector<Tensor> used, used_gradients;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!pass.gradients[i].defined() || !outputs[i].requires_grad()) continue;
    used.push_back(outputs[i]);
    used_gradients.push_back(pass.gradients[i]);
  }
  const std::vector<Tensor> found =
      torch::autograd::grad(used, wanted, used_gradients, /*retain_graph=*/false,
                            /*create_graph=*/false, /*allow_unused=*/true);
  std::vector<Tensor> all;
  size_t next = 0;
  for (const Tensor& leaf : leaves) {
    all.push_back(leaf.defined() && leaf.requires_grad() ? found[next++] : Tensor());
  }
  return all;
}

}  // namespace

std::vector<Tensor> recomputed(const Segment& segment, const std::vector<Tensor>& inputs) {
  return record_operation("RecomputedBackward", inputs, [&] {
    Operation operation;
    operation.outputs = segment(inputs, /*again=*/false);
    operation.saved = inputs;
    operation.unused_as_zeros = false;
    operation.backward = [segment](const BackwardPass& pass) { return backward(pass, segment); };
    return operation;
  });
}

}  // namespace mythos
