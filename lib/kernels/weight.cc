#include "kernels/weight.h"

#include <utility>

#include "kernels/autograd.h"

namespace mythos {
namespace {

using at::Tensor;

using SumPointer = std::shared_ptr<Tensor>;

// Autograd runs this operation's backward pass when every product that uses the weight has run its
// own, even where none of them returned a gradient.
Tensor recorded(const Tensor& parameter, at::ScalarType type, const SumPointer& sum,
                bool releases) {
  return record_operation("SharedWeightBackward", {parameter}, [&] {
    Operation operation;
    operation.outputs = {parameter.scalar_type() == type ? parameter.detach() : parameter.to(type)};
    operation.backward = [sum, releases](const BackwardPass& pass) -> std::vector<Tensor> {
      const Tensor& gradient = pass.gradients[0];
      if (!releases) return {gradient};
      const Tensor total = std::exchange(*sum, Tensor());
      if (!total.defined()) return {gradient};
      return {gradient.defined() ? total.add_(gradient) : total};
    };
    operation.unused_as_zeros = false;
    operation.attachment = sum;
    return operation;
  })[0];
}

// Null when the weight is not shared.
SumPointer sum_of(const Tensor& w) {
  const auto* sum = std::any_cast<SumPointer>(attachment_of(w));
  return sum ? *sum : nullptr;
}

}  // namespace

Tensor shared_weight(const Tensor& parameter, at::ScalarType type) {
  if (!wants_graph({&parameter})) return parameter.to(type);
  return recorded(parameter, type, std::make_shared<Tensor>(), true);
}

Tensor weight_leaf(const Tensor& weight) {
  const Tensor leaf = weight.detach().requires_grad_(weight.requires_grad());
  const SumPointer sum = sum_of(weight);
  return sum ? recorded(leaf, leaf.scalar_type(), sum, false) : leaf;
}

Tensor* gradient_sum(const Tensor& w) {
  return sum_of(w).get();
}

}  // namespace mythos
