#include "ops/linear/weight.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>

#include <limits>
#include <utility>

#include "ops/autograd.h"

namespace mythos {
namespace {

using at::Tensor;

struct Sum {
  Tensor total;
  std::unique_ptr<DelayedProducts> delayed;
};
using SumPointer = std::shared_ptr<Sum>;

// w with its parts apart: dimension `dim` becomes [parts, width].
Tensor in_parts(const Tensor& w, const Padding& padding) {
  return w.unflatten(padding.dim, {padding.parts, -1});
}

int64_t missing(const Tensor& w, const Padding& padding) {
  const int64_t width = w.size(padding.dim) / padding.parts;
  return (padding.multiple - width % padding.multiple) % padding.multiple;
}

// The gradient of a padded copy without what is beyond the parameter.
Tensor without_padding(const Tensor& gradient, at::IntArrayRef shape, const Padding& padding) {
  if (!gradient.defined() || gradient.sizes() == shape) return gradient;
  const int64_t width = shape[static_cast<size_t>(padding.dim)] / padding.parts;
  return in_parts(gradient, padding)
      .narrow(padding.dim + 1, 0, width)
      .flatten(padding.dim, padding.dim + 1)
      .contiguous();
}

// The parameter in `type`, padded; without memory if it has none.
Tensor values_of(const Tensor& parameter, at::ScalarType type, const Padding& padding) {
  if (has_memory(parameter)) return padded(parameter.to(type), padding);
  const int64_t zeros = missing(parameter, padding);
  if (parameter.scalar_type() == type && zeros == 0) return parameter;
  std::vector<int64_t> shape = parameter.sizes().vec();
  shape[static_cast<size_t>(padding.dim)] += padding.parts * zeros;
  const Tensor copy = at::empty({0}, parameter.options().dtype(type));
  copy.unsafeGetTensorImpl()->set_sizes_contiguous(shape);
  return copy;
}

// Autograd runs this operation's backward pass when every product that uses the weight has run its
// own, even where none of them returned a gradient.
Tensor recorded(const Tensor& parameter, at::ScalarType type, const Padding& padding,
                const SumPointer& sum, bool releases) {
  return record_operation("SharedWeightBackward", {parameter}, [&] {
    Operation operation;
    const Tensor copy = values_of(parameter, type, padding);
    operation.outputs = {copy.is_same(parameter) ? parameter.detach() : copy};
    operation.backward =
        [=, shape = parameter.sizes().vec()](const BackwardPass& pass) -> std::vector<Tensor> {
      const Tensor& gradient = pass.gradients[0];
      if (!releases) return {gradient};
      if (sum->delayed) std::exchange(sum->delayed, nullptr)->add_to(sum->total);
      const Tensor total = std::exchange(sum->total, Tensor());
      if (!total.defined()) return {without_padding(gradient, shape, padding)};
      if (gradient.defined()) total.add_(gradient);
      return {without_padding(total, shape, padding)};
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

Tensor padded(const Tensor& w, const Padding& padding) {
  const int64_t zeros = missing(w, padding);
  if (zeros == 0) return w;
  std::vector<int64_t> ends(static_cast<size_t>(2 * (w.dim() - padding.dim)), 0);
  ends.back() = zeros;  // of dimension dim + 1, counted from the last
  return at::constant_pad_nd(in_parts(w, padding), ends).flatten(padding.dim, padding.dim + 1);
}

void set_memory(const Tensor& tensor, bool there) {
  const c10::Storage& storage = tensor.storage();
  const size_t bytes = there ? tensor.nbytes() : 0;
  if (storage.nbytes() == bytes) return;
  at::StorageImpl* memory = storage.unsafeGetStorageImpl();
  memory->set_data_ptr_noswap(storage.allocator()->allocate(bytes));
  memory->set_nbytes(bytes);
}

Tensor without_memory(at::IntArrayRef shape, const at::TensorOptions& options) {
  const Tensor tensor = at::empty({0}, options);
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(shape);
  return tensor;
}

bool has_memory(const Tensor& tensor) {
  return tensor.storage().nbytes() > 0 || tensor.numel() == 0;
}

int64_t width_multiple(at::DeviceType device, at::ScalarType type) {
  return device == at::kCUDA && at::elementSize(type) == 2 ? 64 : 1;
}

Tensor shared_weight(const Tensor& parameter, at::ScalarType type, const Padding& padding) {
  if (!wants_graph({&parameter})) return values_of(parameter, type, padding);
  const Tensor weight = recorded(parameter, type, padding, std::make_shared<Sum>(), true);
  // Autograd takes the newest of the passes that are ready first. A weight is made before all that
  // reads it, so its gradient would be handed on only at the end of the whole backward pass, too
  // late to be sent to other ranks or to be dropped while others are computed.
  weight.grad_fn()->set_sequence_nr(std::numeric_limits<uint64_t>::max());
  return weight;
}

Tensor weight_leaf(const Tensor& weight) {
  const Tensor leaf = weight.detach().requires_grad_(weight.requires_grad());
  const SumPointer sum = sum_of(weight);
  return sum ? recorded(leaf, leaf.scalar_type(), {}, sum, false) : leaf;
}

Tensor* gradient_sum(const Tensor& w) {
  const SumPointer sum = sum_of(w);
  return sum ? &sum->total : nullptr;
}

std::unique_ptr<DelayedProducts>* delayed_products(const Tensor& w) {
  const SumPointer sum = sum_of(w);
  return sum ? &sum->delayed : nullptr;
}

}  // namespace mythos
