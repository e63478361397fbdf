#include "kernels/rope.h"

#include "kernels/autograd.h"
#include "kernels/cuda_library.h"
#include "kernels/kernels_cuda.h"
#include "kernels/rope_cpu.h"

namespace mythos {
namespace {

using torch::Tensor;

Tensor rotate(const Tensor& x, const Tensor& cos, const Tensor& sin, float direction) {
  const bool packed = x.stride(3) == 1 && (x.stride(2) == x.size(3) || x.size(2) == 1);
  const Tensor from = packed ? x : x.contiguous();
  const Tensor out = torch::empty(x.sizes(), x.options().requires_grad(false));
  const auto kernel = backend_of(x) == Backend::cpu ? cpu::rope : cuda::rope;
  kernel(from, cos, sin, direction, out);
  return out;
}

class Rope : public torch::autograd::Function<Rope> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        const Tensor& cos, const Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x, cos, sin, 1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {rotate(grads[0], saved[0], saved[1], -1), Tensor(), Tensor()};
  }
};

}  // namespace

std::pair<Tensor, Tensor> rope_table(int64_t first, int64_t length, int64_t dim, double theta,
                                     torch::Device device) {
  const auto options = torch::TensorOptions().dtype(torch::kFloat32).device(device);
  const Tensor exponent = torch::arange(0, dim, 2, options) / static_cast<double>(dim);
  const Tensor frequency = 1.0 / torch::pow(theta, exponent);
  const Tensor angle = torch::outer(torch::arange(first, first + length, options), frequency);
  return {torch::cos(angle), torch::sin(angle)};
}

Tensor rope(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  if (backend_of(x) == Backend::plain) return rope_reference(x, cos, sin);
  return wants_graph({&x}) ? Rope::apply(x, cos, sin) : rotate(x, cos, sin, 1);
}

Tensor rope_reference(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const int64_t rotated = 2 * cos.size(1), kept = x.size(3) - rotated;
  const Tensor pairs =
      x.narrow(3, kept, rotated).to(torch::kFloat32).unflatten(3, {cos.size(1), 2});
  const Tensor a = pairs.select(4, 0), b = pairs.select(4, 1);
  const Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  const Tensor turned = torch::stack({a * c - b * s, a * s + b * c}, 4).flatten(3);
  return torch::cat({x.narrow(3, 0, kept), turned.to(x.scalar_type())}, 3);
}

}  // namespace mythos
