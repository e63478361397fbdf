#include "ops/swiglu/swiglu.h"

#include <ATen/ATen.h>

#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/kernels_cuda.h"
#include "ops/swiglu/swiglu_cpu.h"

namespace mythos {
namespace {

using at::Tensor;

Tensor forward(const Tensor& gate_up) {
  std::vector<int64_t> sizes = gate_up.sizes().vec();
  sizes.back() /= 2;
  const Tensor out = at::empty(sizes, gate_up.options().requires_grad(false));
  const Tensor rows = gate_up.contiguous().view({-1, gate_up.size(-1)});
  if (backend_of(rows) == Backend::cpu) {
    cpu::swiglu_forward(rows, {}, out.view({-1, sizes.back()}));
  } else {
    cuda::swiglu_forward(rows, {}, {}, out.view({-1, sizes.back()}));
  }
  return out;
}

std::vector<Tensor> swiglu_backward(const BackwardPass& pass) {
  const Tensor gate_up = pass.saved[0].contiguous();
  const Tensor d_gate_up = at::empty(gate_up.sizes(), gate_up.options().requires_grad(false));
  const int64_t width = gate_up.size(-1);
  const Tensor rows = gate_up.view({-1, width}), d_rows = d_gate_up.view({-1, width});
  const Tensor d_out = pass.gradients[0].contiguous().view({-1, width / 2});
  if (backend_of(rows) == Backend::cpu) {
    cpu::swiglu_backward(rows, {}, d_out, d_rows, {});
  } else {
    cuda::swiglu_backward(rows, {}, {}, d_out, d_rows, {});
  }
  return {d_gate_up};
}

}  // namespace

Tensor swiglu(const Tensor& gate_up) {
  if (backend_of(gate_up) == Backend::plain) return swiglu_reference(gate_up);
  if (!wants_graph({&gate_up})) return forward(gate_up);
  return record_operation("SwiGluBackward", {gate_up}, [&] {
    return Operation{{forward(gate_up)}, {gate_up}, swiglu_backward};
  })[0];
}

Tensor swiglu_reference(const Tensor& gate_up) {
  const auto halves = gate_up.to(at::kFloat).chunk(2, -1);
  return (at::silu(halves[0]) * halves[1]).to(gate_up.scalar_type());
}

}  // namespace mythos
