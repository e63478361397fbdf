#include "kernels/swiglu.h"

#include "kernels/autograd.h"
#include "kernels/cuda_library.h"
#include "kernels/kernels_cuda.h"
#include "kernels/swiglu_cpu.h"

namespace mythos {
namespace {

using torch::Tensor;

Tensor forward(const Tensor& gate_up) {
  std::vector<int64_t> sizes = gate_up.sizes().vec();
  sizes.back() /= 2;
  const Tensor out = torch::empty(sizes, gate_up.options().requires_grad(false));
  const Tensor rows = gate_up.contiguous().view({-1, gate_up.size(-1)});
  if (backend_of(rows) == Backend::cpu) {
    cpu::swiglu_forward(rows, {}, out.view({-1, sizes.back()}));
  } else {
    cuda::swiglu_forward(rows, {}, {}, out.view({-1, sizes.back()}));
  }
  return out;
}

class SwiGlu : public torch::autograd::Function<SwiGlu> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& gate_up) {
    context->save_for_backward({gate_up});
    return mythos::forward(gate_up);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const Tensor gate_up = context->get_saved_variables()[0].contiguous();
    const Tensor d_gate_up = torch::empty(gate_up.sizes(), gate_up.options().requires_grad(false));
    const int64_t width = gate_up.size(-1);
    const Tensor rows = gate_up.view({-1, width}), d_rows = d_gate_up.view({-1, width});
    const Tensor d_out = grads[0].contiguous().view({-1, width / 2});
    if (backend_of(rows) == Backend::cpu) {
      cpu::swiglu_backward(rows, {}, d_out, d_rows, {});
    } else {
      cuda::swiglu_backward(rows, {}, {}, d_out, d_rows, {});
    }
    return {d_gate_up};
  }
};

}  // namespace

Tensor swiglu(const Tensor& gate_up) {
  if (backend_of(gate_up) == Backend::plain) return swiglu_reference(gate_up);
  return wants_graph({&gate_up}) ? SwiGlu::apply(gate_up) : forward(gate_up);
}

Tensor swiglu_reference(const Tensor& gate_up) {
  const auto halves = gate_up.to(torch::kFloat32).chunk(2, -1);
  return (torch::silu(halves[0]) * halves[1]).to(gate_up.scalar_type());
}

}  // namespace mythos
