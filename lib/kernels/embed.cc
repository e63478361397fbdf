#include "kernels/embed.h"

#include <ATen/ops/embedding.h>

#include "kernels/autograd.h"
#include "kernels/weight.h"

namespace mythos {
namespace {

using torch::Tensor;

class Embed : public torch::autograd::Function<Embed> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& w,
                        const Tensor& ids) {
    context->save_for_backward({w, ids});
    return at::embedding(w, ids);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor w = saved[0], ids = saved[1].flatten();
    Tensor& sum = *gradient_sum(w);
    if (!sum.defined()) sum = torch::zeros(w.sizes(), w.options().dtype(torch::kFloat32));
    sum.index_add_(0, ids, grads[0].reshape({-1, w.size(1)}).to(torch::kFloat32));
    return {Tensor(), Tensor()};
  }
};

}  // namespace

Tensor embed(const Tensor& w, const Tensor& ids) {
  const bool adds = w.is_cpu() && wants_graph({&w}) && gradient_sum(w);
  return adds ? Embed::apply(w, ids) : at::embedding(w, ids);
}

}  // namespace mythos
