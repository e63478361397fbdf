#include "kernels/cross_entropy.h"

#include <ATen/ops/cross_entropy_loss.h>

#include "kernels/autograd.h"
#include "kernels/cross_entropy_cpu.h"
#include "kernels/cuda_library.h"
#include "kernels/kernels_cuda.h"

namespace mythos {
namespace {

using torch::Tensor;

std::pair<Tensor, Tensor> forward(const Tensor& logits, const Tensor& targets) {
  const auto options = logits.options().dtype(torch::kFloat32);
  const Tensor loss = torch::empty({logits.size(0)}, options);
  const Tensor log_sum = torch::empty({logits.size(0)}, options);
  const auto kernel =
      backend_of(logits) == Backend::cpu ? cpu::cross_entropy_forward : cuda::cross_entropy_forward;
  kernel(logits, targets, loss, log_sum);
  return {loss, log_sum};
}

class CrossEntropy : public torch::autograd::Function<CrossEntropy> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& logits,
                        const Tensor& targets) {
    const auto [loss, log_sum] = mythos::forward(logits, targets);
    // Detached: the gradient is written over the logits, which autograd would otherwise refuse.
    context->save_for_backward({targets, log_sum});
    context->saved_data["logits"] = logits.detach();
    return loss;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor logits = context->saved_data["logits"].toTensor();
    const auto kernel = backend_of(logits) == Backend::cpu ? cpu::cross_entropy_backward
                                                           : cuda::cross_entropy_backward;
    kernel(logits, saved[0], saved[1], grads[0].contiguous());
    return {logits, Tensor()};
  }
};

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets) {
  if (backend_of(logits) == Backend::plain) return cross_entropy_reference(logits, targets);
  const Tensor rows = logits.contiguous(), ids = targets.contiguous();
  return wants_graph({&logits}) ? CrossEntropy::apply(rows, ids) : forward(rows, ids).first;
}

Tensor cross_entropy_reference(const Tensor& logits, const Tensor& targets) {
  return at::cross_entropy_loss(logits.to(torch::kFloat32), targets, {}, at::Reduction::None, -1);
}

}  // namespace mythos
