#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/linear/bf16_inference_cpu.h"
#include "ops/linear/linear.h"
#include "ops/moe/moe.h"
#include "ops/swiglu/swiglu.h"

namespace mythos {

using at::Tensor;

Tensor moe_swiglu(const Tensor& x, const Tensor& experts, const Tensor& weights,
                  const Matrix& gate_up, const Matrix& down) {
  if (backend_of(x) == Backend::cpu && cpu::moe_bf16_serves(x, experts, gate_up, down) &&
      !wants_graph({&x, &weights, &gate_up.values, &down.values})) {
    return cpu::moe_bf16(x, experts, weights, gate_up, down);
  }
  if (gate_up.is_plain()) return moe_swiglu(x, experts, weights, gate_up.values, down.values);
  const at::NoGradGuard no_grad;
  const Tensor out = at::zeros_like(x);
  const Tensor host = experts.to(at::kCPU).contiguous();
  std::vector<bool> used(static_cast<size_t>(gate_up.values.size(0)));
  for (int64_t i = 0; i < host.numel(); ++i) {
    used[static_cast<size_t>(host.data_ptr<int64_t>()[i])] = true;
  }
  for (int64_t e = 0; e < gate_up.values.size(0); ++e) {
    if (!used[static_cast<size_t>(e)]) continue;
    const Tensor matches = experts.eq(e);
    const Tensor rows = matches.any(1).nonzero().squeeze(1);
    const Tensor weight = (weights * matches).sum(1, true).index_select(0, rows);
    const Tensor hidden = swiglu(apply_linear(x.index_select(0, rows), gate_up[e]));
    const Tensor part = apply_linear(hidden, down[e]) * weight;
    out.index_add_(0, rows, part.to(out.scalar_type()));
  }
  return out;
}

}  // namespace mythos
