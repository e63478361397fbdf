#include "nn/recompute.h"

#include <torch/autograd.h>
#include <torch/custom_class.h>

#include "kernels/weight.h"

namespace mythos {
namespace {

using torch::autograd::variable_list;

// The segment as a function of its defined inputs alone: autograd takes no undefined ones.
struct SegmentHolder : torch::CustomClassHolder {
  SegmentHolder(Segment segment, const std::vector<Tensor>& inputs) : segment(std::move(segment)) {
    for (const Tensor& input : inputs) defined.push_back(input.defined());
  }
  variable_list run(at::TensorList given, bool again) const {
    std::vector<Tensor> inputs;
    size_t next = 0;
    for (const bool is : defined) inputs.push_back(is ? given[next++] : Tensor());
    return segment(inputs, again);
  }
  Segment segment;
  std::vector<bool> defined;
};
using SegmentPointer = c10::intrusive_ptr<SegmentHolder>;

class Recomputed : public torch::autograd::Function<Recomputed> {
 public:
  static variable_list forward(torch::autograd::AutogradContext* context, at::TensorList inputs,
                               const SegmentPointer& segment) {
    context->set_materialize_grads(false);
    context->save_for_backward(inputs.vec());
    context->saved_data["segment"] = c10::IValue::make_capsule(segment);
    return segment->run(inputs, /*again=*/false);
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list grads) {
    const auto segment = c10::static_intrusive_pointer_cast<SegmentHolder>(
        context->saved_data["segment"].toCapsule());
    variable_list leaves, wanted, outputs;
    {
      const torch::AutoGradMode with_graph(true);
      for (const Tensor& saved : context->get_saved_variables()) {
        leaves.push_back(weight_leaf(saved));
        if (saved.requires_grad()) wanted.push_back(leaves.back());
      }
      outputs = segment->run(leaves, /*again=*/true);
    }
    // The others led nowhere.
    variable_list used, used_grads;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!grads[i].defined()) continue;
      used.push_back(outputs[i]);
      used_grads.push_back(grads[i]);
    }
    const variable_list found =
        torch::autograd::grad(used, wanted, used_grads, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    variable_list all;
    size_t next = 0;
    for (const Tensor& leaf : leaves) {
      all.push_back(leaf.requires_grad() ? found[next++] : Tensor());
    }
    all.emplace_back();  // of the segment
    return all;
  }
};

}  // namespace

std::vector<Tensor> recomputed(const Segment& segment, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> given;
  for (const Tensor& input : inputs) {
    if (input.defined()) given.push_back(input);
  }
  return Recomputed::apply(at::TensorList(given),
                           c10::make_intrusive<SegmentHolder>(segment, inputs));
}

}  // namespace mythos
