#include "ops/inject/inject.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "device/cpu_simd.h"
#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/inject/inject_device.h"
#include "ops/kernels_cuda.h"

namespace mythos {
namespace {

using at::Tensor;

void forward_on(const InjectForward& args, const Tensor& h) {
  if (backend_of(h) == Backend::cpu) return cpu::inject_forward(args);
  static const CudaKernel<InjectForward> kernel("mythos_cuda_inject_forward");
  kernel(args, h.device());
}
void backward_on(const InjectBackward& args, const Tensor& h) {
  if (backend_of(h) == Backend::cpu) return cpu::inject_backward(args);
  static const CudaKernel<InjectBackward> kernel("mythos_cuda_inject_backward");
  kernel(args, h.device());
}

Tensor forward(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A,
               const Tensor& B) {
  const Tensor hc = h.contiguous(), ec = e.contiguous(), rc = r.contiguous();
  const Tensor out = at::empty(h.sizes(), hc.options().requires_grad(false));
  const int64_t width = h.size(-1);
  const InjectForward args{
      hc.data_ptr<float>(), ec.data_ptr<float>(),  rc.data_ptr(),     A.data_ptr<float>(),
      B.data_ptr<float>(),  out.data_ptr<float>(), h.numel() / width, width,
      cuda::number_type(r)};
  forward_on(args, h);
  return out;
}

std::vector<Tensor> inject_backward(const BackwardPass& pass, at::ScalarType r_type) {
  const Tensor d = pass.gradients[0].contiguous();
  const Tensor h = pass.saved[0].contiguous(), e = pass.saved[1].contiguous();
  const Tensor &A = pass.saved[2], &B = pass.saved[3];
  const int64_t width = h.size(-1), rows = h.numel() / width;
  const int64_t partials =
      backend_of(h) == Backend::cpu ? cpu::pieces_of(rows) : std::clamp<int64_t>(rows / 32, 1, 256);
  const auto options = h.options().requires_grad(false);
  const Tensor d_h = at::empty(h.sizes(), options), d_e = at::empty(h.sizes(), options);
  const Tensor d_A = at::empty({width}, options), d_B = at::empty({width}, options);
  const Tensor partial = at::empty({partials * 2 * width}, options);
  const InjectBackward args{d.data_ptr<float>(),
                            h.data_ptr<float>(),
                            e.data_ptr<float>(),
                            A.data_ptr<float>(),
                            B.data_ptr<float>(),
                            d_h.data_ptr<float>(),
                            d_e.data_ptr<float>(),
                            partial.data_ptr<float>(),
                            d_A.data_ptr<float>(),
                            d_B.data_ptr<float>(),
                            rows,
                            width,
                            partials};
  backward_on(args, h);
  return {d_h, d_e, d.to(r_type), d_A, d_B};
}

}  // namespace

Tensor inject(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A, const Tensor& B) {
  if (backend_of(r) == Backend::plain) return inject_reference(h, e, r, A, B);
  if (!wants_graph({&h, &e, &r, &A, &B})) return forward(h, e, r, A, B);
  return record_operation("InjectBackward", {h, e, r, A, B}, [&] {
    const auto r_type = r.scalar_type();
    return Operation{{forward(h, e, r, A, B)}, {h, e, A, B}, [r_type](const BackwardPass& pass) {
                       return inject_backward(pass, r_type);
                     }};
  })[0];
}

Tensor inject_reference(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A,
                        const Tensor& B) {
  return A * h + B * e + r.to(at::kFloat);
}

}  // namespace mythos
