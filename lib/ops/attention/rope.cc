#include "ops/attention/rope.h"

#include <ATen/ATen.h>

#include "device/cuda_library.h"
#include "ops/attention/rope_cpu.h"
#include "ops/autograd.h"
#include "ops/kernels_cuda.h"

namespace mythos {
namespace {

using at::Tensor;

Tensor rotate(const Tensor& x, const Tensor& cos, const Tensor& sin, float direction) {
  const bool packed = x.stride(3) == 1 && (x.stride(2) == x.size(3) || x.size(2) == 1);
  const Tensor from = packed ? x : x.contiguous();
  const Tensor out = at::empty(x.sizes(), x.options().requires_grad(false));
  const auto kernel = backend_of(x) == Backend::cpu ? cpu::rope : cuda::rope;
  kernel(from, cos, sin, direction, out);
  return out;
}

std::vector<Tensor> rope_backward(const BackwardPass& pass) {
  return {rotate(pass.gradients[0], pass.saved[0], pass.saved[1], -1)};
}

}  // namespace

std::pair<Tensor, Tensor> rope_table(int64_t first, int64_t length, int64_t dim, double theta,
                                     at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  const Tensor exponent = at::arange(0, dim, 2, options) / static_cast<double>(dim);
  const Tensor frequency = 1.0 / at::pow(theta, exponent);
  const Tensor angle = at::outer(at::arange(first, first + length, options), frequency);
  return {at::cos(angle), at::sin(angle)};
}

Tensor rope(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  if (backend_of(x) == Backend::plain) return rope_reference(x, cos, sin);
  if (!wants_graph({&x})) return rotate(x, cos, sin, 1);
  return record_operation("RopeBackward", {x}, [&] {
    return Operation{{rotate(x, cos, sin, 1)}, {cos, sin}, rope_backward};
  })[0];
}

Tensor rope_reference(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const int64_t rotated = 2 * cos.size(1), kept = x.size(3) - rotated;
  const Tensor pairs = x.narrow(3, kept, rotated).to(at::kFloat).unflatten(3, {cos.size(1), 2});
  const Tensor a = pairs.select(4, 0), b = pairs.select(4, 1);
  const Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  const Tensor turned = at::stack({a * c - b * s, a * s + b * c}, 4).flatten(3);
  return at::cat({x.narrow(3, 0, kept), turned.to(x.scalar_type())}, 3);
}

}  // namespace mythos
