#include "kernels/inject.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "kernels/autograd.h"
#include "kernels/cpu_simd.h"
#include "kernels/cuda_library.h"
#include "kernels/inject_device.h"

namespace mythos {
namespace {

using torch::Tensor;

// The CUDA kernels, or null: then the plain operations serve a CUDA tensor.
CudaInjectForward cuda_forward() {
  static const auto entry =
      reinterpret_cast<CudaInjectForward>(cuda_kernel("mythos_cuda_inject_forward"));
  return entry;
}
CudaInjectBackward cuda_backward() {
  static const auto entry =
      reinterpret_cast<CudaInjectBackward>(cuda_kernel("mythos_cuda_inject_backward"));
  return entry;
}

void check_cuda(int status) {
  if (status != 0) {
    fail(ErrorKind::resources, strprintf("CUDA error %d in the injection kernel", status));
  }
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
  if (h.is_cpu())
    cpu::inject_forward(args);
  else
    check_cuda(cuda_forward()(&args, cuda_stream(h.device())));
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
    const int64_t partials =
        h.is_cpu() ? cpu::pieces_of(rows) : std::clamp<int64_t>(rows / 32, 1, 256);
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
    if (h.is_cpu())
      cpu::inject_backward(args);
    else
      check_cuda(cuda_backward()(&args, cuda_stream(h.device())));
    const auto r_type = static_cast<torch::Dtype>(context->saved_data["r_type"].toInt());
    return {d_h, d_e, d.to(r_type), d_A, d_B};
  }
};

}  // namespace

Tensor inject(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A, const Tensor& B) {
  if (!h.is_cpu() && !cuda_forward()) return inject_reference(h, e, r, A, B);
  if (!wants_graph({&h, &e, &r, &A, &B})) return forward(h, e, r, A, B);
  return Inject::apply(h, e, r, A, B);
}

Tensor inject_reference(const Tensor& h, const Tensor& e, const Tensor& r, const Tensor& A,
                        const Tensor& B) {
  return A * h + B * e + r.to(torch::kFloat32);
}

}  // namespace mythos
