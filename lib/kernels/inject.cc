#include "kernels/inject.h"

#include <algorithm>

#include "kernels/autograd.h"
#include "kernels/cpu_simd.h"
#include "kernels/cuda_library.h"
#include "kernels/inject_device.h"

namespace mythos {
namespace {

using torch::Tensor;

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
  const Tensor out = torch::empty(h.sizes(), hc.options().requires_grad(false));
  const int64_t width = h.size(-1);
  const InjectForward args{hc.data_ptr<float>(),
                           ec.data_ptr<float>(),
                           rc.data_ptr(),
                           A.data_ptr<float>(),
                           B.data_ptr<float>(),
                           out.data_ptr<float>(),
                           h.numel() / width,
                           width,
                           r.scalar_type() == torch::kBFloat16};
  forward_on(args, h);
  return out;
}

class Inject : public torch::autograd::Function<Inject> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& h, const Tensor& e,
                        const Tensor& r, const Tensor& A, const Tensor& B) {
    context->save_for_backward({h, e, A, B});
    context->saved_data["r_type"] = static_cast<int64_t>(r.scalar_type());
    return mythos::forward(h, e, r, A, B);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor d = grads[0].contiguous(), h = saved[0].contiguous(), e = saved[1].contiguous();
    const int64_t width = h.size(-1), rows = h.numel() / width;
    const int64_t partials = backend_of(h) == Backend::cpu ? cpu::pieces_of(rows)
                                                           : std::clamp<int64_t>(rows / 32, 1, 256);
    const auto options = h.options().requires_grad(false);
    const Tensor d_h = torch::empty(h.sizes(), options), d_e = torch::empty(h.sizes(), options);
    const Tensor d_A = torch::empty({width}, options), d_B = torch::empty({width}, options);
    const Tensor partial = torch::empty({partials * 2 * width}, options);
    const InjectBackward args{d.data_ptr<float>(),
                              h.data_ptr<float>(),
                              e.data_ptr<float>(),
                              saved[2].data_ptr<float>(),
                              saved[3].data_ptr<float>(),
                              d_h.data_ptr<float>(),
                              d_e.data_ptr<float>(),
                              partial.data_ptr<float>(),
                              d_A.data_ptr<float>(),
                              d_B.data_ptr<float>(),
                              rows,
                              width,
                              partials};
    backward_on(args, h);
    const auto r_type = static_cast<torch::Dtype>(context->saved_data["r_type"].toInt());
    return {d_h, d_e, d.to(r_type), d_A, d_B};
  }
};

}  // namespace

Tensor inject(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A, const Tensor& B) {
  if (backend_of(h) == Backend::plain) return inject_reference(h, e, r, A, B);
  if (!wants_graph({&h, &e, &r, &A, &B})) return forward(h, e, r, A, B);
  return Inject::apply(h, e, r, A, B);
}

Tensor inject_reference(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A,
                        const Tensor& B) {
  return A * h + B * e + r.to(torch::kFloat32);
}

}  // namespace mythos
