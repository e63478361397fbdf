#include "ops/loss/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "device/cuda_library.h"
#include "ops/kernels_cuda.h"
#include "ops/loss/cross_entropy_cpu.h"

namespace mythos {
namespace {

using at::Tensor;

std::pair<Tensor, Tensor> forward(const Tensor& logits, const Tensor& targets) {
  const auto options = logits.options().dtype(at::kFloat);
  const Tensor loss = at::empty({logits.size(0)}, options);
  const Tensor log_sum = at::empty({logits.size(0)}, options);
  const auto kernel =
      backend_of(logits) == Backend::cpu ? cpu::cross_entropy_forward : cuda::cross_entropy_forward;
  kernel(logits, targets, loss, log_sum);
  return {loss, log_sum};
}

void put_gradients(const Tensor& logits, const Tensor& targets, const Tensor& log_sum,
                   const Tensor& d_loss) {
  const auto kernel = backend_of(logits) == Backend::cpu ? cpu::cross_entropy_backward
                                                         : cuda::cross_entropy_backward;
  kernel(logits, targets, log_sum, d_loss);
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets) {
  if (backend_of(logits) == Backend::plain) return cross_entropy_reference(logits, targets);
  return forward(logits.contiguous(), targets.contiguous()).first;
}

Tensor cross_entropy_gradient(Tensor& logits, const Tensor& targets, double factor,
                              const Tensor& device_factor) {
  const Backend backend = backend_of(logits);
  if (backend == Backend::plain) {
    const at::AutoGradMode with_graph(true);
    const Tensor leaf = logits.detach().requires_grad_();
    const Tensor loss = cross_entropy_reference(leaf, targets);
    Tensor sum = loss.sum() * factor;
    if (device_factor.defined()) sum = sum * device_factor;
    logits = torch::autograd::grad({sum}, {leaf})[0];
    return loss.detach();
  }
  const Tensor ids = targets.contiguous();
  const auto [loss, log_sum] = forward(logits, ids);
  const Tensor d_loss = at::full(loss.sizes(), factor, loss.options());
  if (device_factor.defined()) d_loss.mul_(device_factor);
  put_gradients(logits, ids, log_sum, d_loss);
  return loss;
}

void cross_entropy_row_gradients(Tensor& logits, const Tensor& targets, const Tensor& d_loss) {
  if (backend_of(logits) == Backend::plain) {
    const at::AutoGradMode with_graph(true);
    const Tensor leaf = logits.detach().requires_grad_();
    const Tensor loss = cross_entropy_reference(leaf, targets);
    logits = torch::autograd::grad({loss}, {leaf}, {d_loss})[0];
    return;
  }
  const Tensor ids = targets.contiguous();
  put_gradients(logits, ids, forward(logits, ids).second, d_loss.contiguous());
}

Tensor softcapped(const Tensor& logits, double bound) {
  return (logits / bound).tanh() * bound;
}

Tensor cross_entropy_reference(const Tensor& logits, const Tensor& targets) {
  return at::cross_entropy_loss(logits.to(at::kFloat), targets, {}, at::Reduction::None, -1);
}

}  // namespace mythos
