#include "ops/attention/rope.h"

#include <ATen/ATen.h>

#include "device/cuda_library.h"
#include "ops/attention/rope_cpu.h"
#include "ops/autograd.h"
#include "ops/kernels_cuda.h"

namespace mythos {
namespace {

using at::Tensor;

Tensor rotate(const Tensor& x, const Tensor& cos, const Tensor& sin, float direction,
              RopePairing pairing) {
  const bool packed = x.stride(3) == 1 && (x.stride(2) == x.size(3) || x.size(2) == 1);
  const Tensor from = packed ? x : x.contiguous();
  const Tensor out = at::empty(x.sizes(), x.options().requires_grad(false));
  const auto kernel = backend_of(x) == Backend::cpu ? cpu::rope : cuda::rope;
  kernel(from, cos, sin, direction, pairing, out);
  return out;
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

Tensor rope(const Tensor& x, const Tensor& cos, const Tensor& sin, RopePairing pairing) {
  if (backend_of(x) == Backend::plain) return rope_reference(x, cos, sin, pairing);
  if (!wants_graph({&x})) return rotate(x, cos, sin, 1, pairing);
  return record_operation("RopeBackward", {x}, [&] {
    const auto backward = [pairing](const BackwardPass& pass) -> std::vector<Tensor> {
      return {rotate(pass.gradients[0], pass.saved[0], pass.saved[1], -1, pairing)};
    };
    return Operation{{rotate(x, cos, sin, 1, pairing)}, {cos, sin}, backward};
  })[0];
}

Tensor rope_reference(const Tensor& x, const Tensor& cos, const Tensor& sin, RopePairing pairing) {
  const int64_t pairs = cos.size(1), kept = x.size(3) - 2 * pairs;
  const bool halves = pairing == RopePairing::halves;
  const int64_t of_pair = halves ? 3 : 4;  // the dimension of a pair's two channels
  const Tensor split = x.narrow(3, kept, 2 * pairs)
                           .to(at::kFloat)
                           .unflatten(3, {halves ? 2 : pairs, halves ? pairs : 2});
  const Tensor a = split.select(of_pair, 0), b = split.select(of_pair, 1);
  const Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  const Tensor turned = at::stack({a * c - b * s, a * s + b * c}, of_pair).flatten(3);
  return at::cat({x.narrow(3, 0, kept), turned.to(x.scalar_type())}, 3);
}

}  // namespace mythos
