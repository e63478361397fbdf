#include "kernels/rms_norm.h"

#include "kernels/autograd.h"
#include "kernels/cuda_library.h"
#include "kernels/kernels_cuda.h"
#include "kernels/rms_norm_cpu.h"

namespace mythos {
namespace {

using torch::Tensor;

// The tensor as [N,D] rows with a contiguous last dimension, without a copy where that is possible.
Tensor rows_of(const Tensor& x) {
  const Tensor flat = x.reshape({-1, x.size(-1)});
  return flat.stride(1) == 1 || flat.size(1) == 1 ? flat : flat.contiguous();
}

struct Forward {
  Tensor sum, norm, rstd;  // sum is `a` itself when nothing was added
};

Forward forward(const Tensor& a, const Tensor& b, const Tensor& shift, const Tensor& weight,
                double eps, torch::Dtype type) {
  const Tensor a_rows = rows_of(a);
  const Tensor b_rows = b.defined() ? rows_of(b) : b;
  Forward out;
  out.norm = torch::empty(a.sizes(), a.options().dtype(type));
  out.rstd = torch::empty({a_rows.size(0)}, weight.options().requires_grad(false));
  if (b.defined()) out.sum = torch::empty(a.sizes(), a.options());
  const auto kernel =
      backend_of(a) == Backend::cpu ? cpu::rms_norm_forward : cuda::rms_norm_forward;
  kernel(a_rows, b_rows, shift, weight, eps,
         b.defined() ? out.sum.view({-1, a.size(-1)}) : Tensor(), out.norm.view({-1, a.size(-1)}),
         out.rstd);
  if (!b.defined()) out.sum = a;
  return out;
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const Tensor& a, const std::optional<Tensor>& b,
                                                const std::optional<Tensor>& shift,
                                                const Tensor& weight, double eps, int64_t type) {
    const Forward out = mythos::forward(a, b.value_or(Tensor()), shift.value_or(Tensor()), weight,
                                        eps, static_cast<torch::Dtype>(type));
    context->save_for_backward({out.sum, weight, out.rstd});
    context->saved_data["added"] = b.has_value();
    // The injection uses only the norm: no gradient of zeros is made and added for the sum.
    context->set_materialize_grads(false);
    if (!b) return {out.norm};
    return {out.norm, out.sum};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const bool added = context->saved_data["added"].toBool();
    if (!grads[0].defined()) {
      return {grads[1], grads[1], Tensor(), Tensor(), Tensor(), Tensor()};  // only the sum was used
    }
    const Tensor rows = rows_of(saved[0]);
    const int64_t width = rows.size(1);
    const Tensor d_s = torch::empty(saved[0].sizes(), saved[0].options().requires_grad(false));
    const Tensor d_weight = torch::empty_like(saved[1]);
    const Tensor d_sum =
        added && grads[1].defined() ? grads[1].contiguous().view({-1, width}) : Tensor();
    const auto kernel =
        backend_of(rows) == Backend::cpu ? cpu::rms_norm_backward : cuda::rms_norm_backward;
    kernel(rows, saved[1], saved[2], grads[0].contiguous().view({-1, width}), d_sum,
           d_s.view({-1, width}), d_weight);
    return {d_s, added ? d_s : Tensor(), Tensor(), d_weight, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps,
                std::optional<torch::Dtype> type) {
  if (backend_of(x) == Backend::plain) return rms_norm_reference(x, weight, eps, type);
  const torch::Dtype out = type.value_or(x.scalar_type());
  if (!wants_graph({&x, &weight})) return forward(x, {}, {}, weight, eps, out).norm;
  return RmsNorm::apply(x, std::optional<Tensor>(), std::optional<Tensor>(), weight, eps,
                        static_cast<int64_t>(out))[0];
}

std::pair<Tensor, Tensor> add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& shift,
                                       const Tensor& weight, double eps,
                                       std::optional<torch::Dtype> type) {
  const torch::Dtype out = type.value_or(a.scalar_type());
  if (backend_of(a) == Backend::plain) {
    Tensor sum = a + b;
    if (shift.defined()) sum = sum + shift.to(sum.scalar_type());
    return {sum, rms_norm_reference(sum, weight, eps, out)};
  }
  if (!wants_graph({&a, &b, &weight})) {
    Forward result = forward(a, b, shift, weight, eps, out);
    return {result.sum, result.norm};
  }
  auto result = RmsNorm::apply(a, std::optional<Tensor>(b),
                               shift.defined() ? std::optional<Tensor>(shift) : std::nullopt,
                               weight, eps, static_cast<int64_t>(out));
  return {result[1], result[0]};
}

Tensor rms_norm_reference(const Tensor& x, const Tensor& weight, double eps,
                          std::optional<torch::Dtype> type) {
  const Tensor wide = x.to(torch::kFloat32);
  const Tensor norm = wide * torch::rsqrt(wide.square().mean({-1}, true) + eps) * weight;
  return norm.to(type.value_or(x.scalar_type()));
}

}  // namespace mythos
