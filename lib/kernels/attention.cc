#include "kernels/attention.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "kernels/attention_cpu.h"
#include "kernels/autograd.h"

namespace mythos {
namespace {

using torch::Tensor;

Tensor packed(const Tensor& x) {
  return x.stride(3) == 1 ? x : x.contiguous();
}

std::pair<Tensor, Tensor> forward(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto options = q.options().requires_grad(false);
  const Tensor out = torch::empty({q.size(0), q.size(1), q.size(2), v.size(3)}, options);
  const Tensor log_sum =
      torch::empty({q.size(0), q.size(2), q.size(1)}, options.dtype(torch::kFloat32));
  cpu::attention_forward(packed(q), packed(k), packed(v), out, log_sum);
  return {out, log_sum};
}

class CausalAttention : public torch::autograd::Function<CausalAttention> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k,
                        const Tensor& v) {
    const auto [out, log_sum] = mythos::forward(q, k, v);
    context->save_for_backward({q, k, v, log_sum});
    return out;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    std::vector<Tensor> d;
    for (int i = 0; i < 3; ++i) {
      d.push_back(torch::empty(saved[i].sizes(), saved[i].options().requires_grad(false)));
    }
    cpu::attention_backward(packed(saved[0]), packed(saved[1]), packed(saved[2]), saved[3],
                            packed(grads[0]), d[0], d[1], d[2]);
    return d;
  }
};

// LibTorch's operator; a mask only where tokens came before, its causal form serves the rest.
Tensor library_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  const int64_t length = q.size(1), past = k.size(1) - length;
  std::optional<Tensor> mask;
  if (past > 0 && length > 1) {
    mask = at::ones({length, past + length}, q.options().dtype(torch::kBool).requires_grad(false))
               .tril(past);
  }
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          mask, 0.0, /*is_causal=*/past == 0 && length > 1,
                                          std::nullopt, /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

}  // namespace

Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  if (!q.is_cpu()) return library_attention(q, k, v);
  return wants_graph({&q, &k, &v}) ? CausalAttention::apply(q, k, v) : forward(q, k, v).first;
}

Tensor causal_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto wide = [](const Tensor& x) { return x.to(torch::kFloat32); };
  return library_attention(wide(q), wide(k), wide(v)).to(q.scalar_type());
}

}  // namespace mythos
