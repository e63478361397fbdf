#include "ops/norm/rms_norm.h"

#include <ATen/ATen.h>

#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/kernels_cuda.h"
#include "ops/norm/rms_norm_cpu.h"

namespace mythos {
namespace {

using at::Tensor;

// The tensor as [N,D] rows with a contiguous last dimension, without a copy where that is possible.
Tensor rows_of(const Tensor& x) {
  const Tensor flat = x.reshape({-1, x.size(-1)});
  return flat.stride(1) == 1 || flat.size(1) == 1 ? flat : flat.contiguous();
}

struct Forward {
  Tensor sum, norm, rstd;  // sum is `a` itself when nothing was added
};

Forward forward(const Tensor& a, const Tensor& b, const Tensor& shift, const Tensor& weight,
                double eps, at::ScalarType type) {
  const Tensor a_rows = rows_of(a);
  const Tensor b_rows = b.defined() ? rows_of(b) : b;
  Forward out;
  out.norm = at::empty(a.sizes(), a.options().dtype(type));
  out.rstd = at::empty({a_rows.size(0)}, weight.options().requires_grad(false));
  if (b.defined()) out.sum = at::empty(a.sizes(), a.options());
  const auto kernel =
      backend_of(a) == Backend::cpu ? cpu::rms_norm_forward : cuda::rms_norm_forward;
  kernel(a_rows, b_rows, shift, weight, eps,
         b.defined() ? out.sum.view({-1, a.size(-1)}) : Tensor(), out.norm.view({-1, a.size(-1)}),
         out.rstd);
  if (!b.defined()) out.sum = a;
  return out;
}

std::vector<Tensor> rms_norm_backward(const BackwardPass& pass, bool added) {
  const Tensor &d_norm = pass.gradients[0], &x = pass.saved[0], &weight = pass.saved[1];
  const Tensor d_out = added ? pass.gradients[1] : Tensor();
  if (!d_norm.defined()) return {d_out, d_out, Tensor(), Tensor()};  // only the sum was used
  const Tensor rows = rows_of(x);
  const int64_t width = rows.size(1);
  const Tensor d_s = at::empty(x.sizes(), x.options().requires_grad(false));
  const Tensor d_weight = at::empty_like(weight);
  const auto kernel =
      backend_of(rows) == Backend::cpu ? cpu::rms_norm_backward : cuda::rms_norm_backward;
  kernel(rows, weight, pass.saved[2], d_norm.contiguous().view({-1, width}),
         d_out.defined() ? d_out.contiguous().view({-1, width}) : Tensor(), d_s.view({-1, width}),
         d_weight);
  return {d_s, added ? d_s : Tensor(), Tensor(), d_weight};
}

bool is_plain(const Tensor& x, at::ScalarType result) {
  const Backend backend = backend_of(x);
  return backend == Backend::plain || (backend == Backend::cpu && result == at::kHalf);
}

// The norm and, where `b` is defined, the sum.
std::vector<Tensor> recorded(const Tensor& a, const Tensor& b, const Tensor& shift,
                             const Tensor& weight, double eps, at::ScalarType type) {
  return record_operation("RmsNormBackward", {a, b, shift, weight}, [&] {
    const Forward out = forward(a, b, shift, weight, eps, type);
    Operation operation;
    operation.outputs = {out.norm};
    if (b.defined()) operation.outputs.push_back(out.sum);
    operation.saved = {out.sum, weight, out.rstd};
    operation.backward = [added = b.defined()](const BackwardPass& pass) {
      return rms_norm_backward(pass, added);
    };
    // The injection uses only the norm: no gradient of zeros is made and added for the sum.
    operation.unused_as_zeros = false;
    return operation;
  });
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps,
                std::optional<at::ScalarType> type) {
  const at::ScalarType out = type.value_or(x.scalar_type());
  if (is_plain(x, out)) return rms_norm_reference(x, weight, eps, out);
  if (!wants_graph({&x, &weight})) return forward(x, {}, {}, weight, eps, out).norm;
  return recorded(x, {}, {}, weight, eps, out)[0];
}

std::pair<Tensor, Tensor> add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& shift,
                                       const Tensor& weight, double eps,
                                       std::optional<at::ScalarType> type) {
  const at::ScalarType out = type.value_or(a.scalar_type());
  if (is_plain(a, out)) {
    Tensor sum = a + b;
    if (shift.defined()) sum = sum + shift.to(sum.scalar_type());
    return {sum, rms_norm_reference(sum, weight, eps, out)};
  }
  if (!wants_graph({&a, &b, &weight})) {
    Forward result = forward(a, b, shift, weight, eps, out);
    return {result.sum, result.norm};
  }
  const auto result = recorded(a, b, shift, weight, eps, out);
  return {result[1], result[0]};
}

Tensor rms_norm_reference(const Tensor& x, const Tensor& weight, double eps,
                          std::optional<at::ScalarType> type) {
  const Tensor wide = x.to(at::kFloat);
  const Tensor norm = wide * at::rsqrt(wide.square().mean({-1}, true) + eps) * weight;
  return norm.to(type.value_or(x.scalar_type()));
}

}  // namespace mythos
