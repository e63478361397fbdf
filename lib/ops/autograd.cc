#include "ops/autograd.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>

namespace mythos {
namespace {

using at::Tensor;
using torch::autograd::SavedVariable;

class OperationNode : public torch::autograd::Node {
 public:
  OperationNode(const char* name, const std::vector<Tensor>& inputs)
      : Node(torch::autograd::collect_next_edges(inputs)), name_(name) {}

  std::string name() const override { return name_; }
  const std::any& attachment() const { return operation_.attachment; }

  // Takes over an operation and links its outputs, which are returned.
  static std::vector<Tensor> link(const std::shared_ptr<OperationNode>& node, Operation operation) {
    const std::vector<Tensor> outputs = std::move(operation.outputs);
    for (size_t i = 0; i + operation.without_gradient < outputs.size(); ++i) {
      torch::autograd::set_history(outputs[i], node);
    }
    for (const Tensor& tensor : operation.saved) {
      const bool is_output = tensor.defined() && tensor.grad_fn() == node;
      node->saved_.emplace_back(tensor, is_output);
    }
    operation.saved.clear();
    node->operation_ = std::move(operation);
    return outputs;
  }

  std::vector<Tensor> apply(std::vector<Tensor>&& gradients) override {
    // Backward passes of several threads may meet here.
    const std::lock_guard lock(mutex_);
    TORCH_CHECK(operation_.backward, name_, ": the backward pass ran twice over one graph");
    BackwardPass pass;
    pass.gradients = std::move(gradients);
    for (size_t i = 0; i < pass.gradients.size() && operation_.unused_as_zeros; ++i) {
      if (!pass.gradients[i].defined()) {
        pass.gradients[i] = input_metadata(static_cast<uint32_t>(i)).zeros_like();
      }
    }
    for (const SavedVariable& tensor : saved_) {
      pass.saved.push_back(tensor.unpack(shared_from_this()));
    }
    for (size_t i = 0; i < num_outputs(); ++i) pass.wanted.push_back(task_should_compute_output(i));
    return operation_.backward(pass);
  }

  void release_variables() override {
    const std::lock_guard lock(mutex_);
    for (SavedVariable& tensor : saved_) tensor.reset_data();
    operation_.backward = {};
  }

 private:
  const char* name_;
  Operation operation_;
  std::vector<SavedVariable> saved_;
};

}  // namespace

bool wants_graph(std::initializer_list<const Tensor*> inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const Tensor* input : inputs) {
    if (input->defined() && input->requires_grad()) return true;
  }
  return false;
}

std::vector<Tensor> record_operation(const char* name, const std::vector<Tensor>& inputs,
                                     const std::function<Operation()>& forward) {
  const auto run = [&] {
    const at::NoGradGuard no_grad;
    return forward();
  };
  const auto needs_gradient = [](const Tensor& input) {
    return input.defined() && input.requires_grad();
  };
  const bool linked = at::GradMode::is_enabled() && std::ranges::any_of(inputs, needs_gradient);
  if (!linked) return run().outputs;
  // A chain of nodes as long as a training step's is not destroyed by recursion.
  const std::shared_ptr<OperationNode> node(new OperationNode(name, inputs),
                                            torch::autograd::deleteNode);
  return OperationNode::link(node, run());
}

const std::any* attachment_of(const Tensor& output) {
  const auto* node = dynamic_cast<const OperationNode*>(output.grad_fn().get());
  return node ? &node->attachment() : nullptr;
}

}  // namespace mythos
