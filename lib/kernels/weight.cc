#include "kernels/weight.h"

#include <torch/custom_class.h>

#include "kernels/autograd.h"

namespace mythos {
namespace {

using torch::Tensor;

struct GradientSum : torch::CustomClassHolder {
  Tensor value;
};
using SumPointer = c10::intrusive_ptr<GradientSum>;

// Autograd runs this node's backward when every product that uses the weight has run its own, even
// where none of them returned a gradient.
class SharedWeight : public torch::autograd::Function<SharedWeight> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& parameter,
                        torch::Dtype type, const SumPointer& sum, bool releases) {
    context->set_materialize_grads(false);
    context->saved_data["sum"] = c10::IValue::make_capsule(sum);
    context->saved_data["releases"] = releases;
    return parameter.scalar_type() == type ? parameter.detach() : parameter.to(type);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    Tensor gradient = grads[0];
    if (context->saved_data["releases"].toBool()) {
      const Tensor sum = std::exchange(sum_of(*context)->value, Tensor());
      if (sum.defined()) gradient = gradient.defined() ? sum.add_(gradient) : sum;
    }
    return {gradient, Tensor(), Tensor(), Tensor()};
  }

  static SumPointer sum_of(torch::autograd::AutogradContext& context) {
    return c10::static_intrusive_pointer_cast<GradientSum>(context.saved_data["sum"].toCapsule());
  }
};

// Null when the weight is not shared.
SumPointer sum_of(const Tensor& w) {
  using Node = torch::autograd::CppNode<SharedWeight>;
  auto* node = dynamic_cast<Node*>(w.grad_fn().get());
  return node ? SharedWeight::sum_of(node->ctx_) : SumPointer();
}

}  // namespace

Tensor shared_weight(const Tensor& parameter, torch::Dtype type) {
  if (!wants_graph({&parameter})) return parameter.to(type);
  return SharedWeight::apply(parameter, type, c10::make_intrusive<GradientSum>(), true);
}

Tensor weight_leaf(const Tensor& weight) {
  const Tensor leaf = weight.detach().requires_grad_(weight.requires_grad());
  const SumPointer sum = sum_of(weight);
  return sum ? SharedWeight::apply(leaf, leaf.scalar_type(), sum, false) : leaf;
}

Tensor* gradient_sum(const Tensor& w) {
  const SumPointer sum = sum_of(w);
  return sum ? &sum->value : nullptr;
}

}  // namespace mythos
