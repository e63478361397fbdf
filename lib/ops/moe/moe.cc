#include "ops/moe/moe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/linear/bf16_inference_cpu.h"
#include "ops/linear/linear.h"
#include "ops/linear/weight.h"
#include "ops/moe/moe_cpu.h"
#include "ops/moe/moe_cuda.h"
#include "ops/swiglu/swiglu.h"
#include "ops/swiglu/swiglu_cpu.h"

namespace mythos {
namespace {

using at::Tensor;

// One tensor for each expert; undefined where it has no rows.
using Parts = std::vector<Tensor>;

// The experts' gate and up products are kept in `hidden` for the backward pass where wanted.
Tensor forward_cpu(const Tensor& x, const Tensor& weights, const Tensor& gate_up,
                   const Tensor& down, const cpu::Routing& routing, Parts* hidden) {
  const auto options = x.options().requires_grad(false);
  const Tensor rows = cpu::gather_rows(x.detach(), routing);
  const Tensor scale = cpu::gather_weights(weights, routing);
  Parts out(static_cast<size_t>(gate_up.size(0)));
  for (int64_t e = 0; e < gate_up.size(0); ++e) {
    if (routing.count(e) == 0) continue;
    const Tensor h = matmul_nt(routing.part(rows, e), gate_up[e]);
    const Tensor act = at::empty({h.size(0), down.size(2)}, options);
    cpu::swiglu_forward(h, routing.part(scale, e), act);
    out[static_cast<size_t>(e)] = matmul_nt(act, down[e]);
    if (hidden) hidden->push_back(h);
  }
  return cpu::combine_rows(out, routing, options, x.size(1));
}

// The gradient of packed experts [E,·,·].
class ExpertGradient {
 public:
  explicit ExpertGradient(const Tensor& w) : w_(w), shared_(gradient_sum(w)) {
    Tensor& sum = shared_ ? *shared_ : own_;
    if (!sum.defined()) {
      sum = at::zeros(w.sizes(), w.options().dtype(at::kFloat).requires_grad(false));
    }
    sum_ = sum;
  }
  // += aᵀ b of one expert.
  void add(int64_t expert, const Tensor& a, const Tensor& b) {
    Tensor sum = sum_[expert];
    add_matmul_tn(sum, a, b);
  }
  // What autograd is given: nothing where the weight is shared.
  Tensor returned() const { return shared_ ? Tensor() : own_.to(w_.scalar_type()); }

 private:
  const Tensor& w_;
  Tensor* shared_;
  Tensor own_, sum_;
};

// What the backward pass takes over from the forward pass.
struct Routed {
  cpu::Routing routing;
  Parts hidden;
};

std::vector<Tensor> backward_cpu(const BackwardPass& pass, const Routed& routed) {
  const Tensor &x = pass.saved[0], &weights = pass.saved[1];
  const Tensor &gate_up = pass.saved[2], &down = pass.saved[3];
  const cpu::Routing& routing = routed.routing;
  const auto options = x.options().requires_grad(false);
  const Tensor rows = cpu::gather_rows(x.detach(), routing);
  const Tensor d_rows = cpu::gather_rows(pass.gradients[0].contiguous(), routing);
  const Tensor scale = cpu::gather_weights(weights, routing), d_scale = at::empty_like(scale);
  ExpertGradient d_gate_up(gate_up), d_down(down);
  Parts d_x(static_cast<size_t>(gate_up.size(0)));
  size_t next = 0;
  for (int64_t e = 0; e < gate_up.size(0); ++e) {
    if (routing.count(e) == 0) continue;
    const Tensor& h = routed.hidden[next++];
    const Tensor d_y = routing.part(d_rows, e), factor = routing.part(scale, e);
    const Tensor act = at::empty({h.size(0), down.size(2)}, options);
    cpu::swiglu_forward(h, factor, act);
    d_down.add(e, d_y, act);
    const Tensor d_h = at::empty(h.sizes(), options);
    cpu::swiglu_backward(h, factor, matmul_nn(d_y, down[e]), d_h, routing.part(d_scale, e));
    d_gate_up.add(e, d_h, routing.part(rows, e));
    d_x[static_cast<size_t>(e)] = matmul_nn(d_h, gate_up[e]);
  }
  return {cpu::combine_rows(d_x, routing, options, x.size(1)),
          cpu::scatter_weights(d_scale, routing), d_gate_up.returned(), d_down.returned()};
}

Operation recorded_cpu(const Tensor& x, const Tensor& experts, const Tensor& weights,
                       const Tensor& gate_up, const Tensor& down) {
  const auto routed = std::make_shared<Routed>();
  routed->routing = cpu::route(experts, gate_up.size(0));
  const Tensor out = forward_cpu(x, weights, gate_up, down, routed->routing, &routed->hidden);
  return {{out}, {x, weights, gate_up, down}, [routed](const BackwardPass& pass) {
            return backward_cpu(pass, *routed);
          }};
}

// Rounded weights, of which one expert is expanded at a time.
Tensor of_rounded(const Tensor& x, const Tensor& experts, const Tensor& weights,
                  const Matrix& gate_up, const Matrix& down) {
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

Tensor of_plain(const Tensor& x, const Tensor& experts, const Tensor& weights,
                const Tensor& gate_up, const Tensor& down) {
  const Backend backend = backend_of(x);
  if (backend == Backend::cuda) return cuda::moe_swiglu(x, experts, weights, gate_up, down);
  if (backend == Backend::plain) {
    return x.is_cpu() ? moe_swiglu_reference(x, experts, weights, gate_up, down)
                      : cuda::moe_swiglu_plain(x, experts, weights, gate_up, down);
  }
  const Tensor rows = x.contiguous(), scale = weights.contiguous();
  if (wants_graph({&x, &weights, &gate_up, &down})) {
    return record_operation("MoeSwiGluBackward", {rows, scale, gate_up, down},
                            [&] { return recorded_cpu(rows, experts, scale, gate_up, down); })[0];
  }
  return forward_cpu(rows, scale, gate_up, down, cpu::route(experts, gate_up.size(0)), nullptr);
}

}  // namespace

Tensor moe_swiglu(const Tensor& x, const Tensor& experts, const Tensor& weights,
                  const Matrix& gate_up, const Matrix& down) {
  if (backend_of(x) == Backend::cpu && cpu::moe_bf16_serves(x, experts, gate_up, down) &&
      !wants_graph({&x, &weights, &gate_up.values, &down.values})) {
    return cpu::moe_bf16(x, experts, weights, gate_up, down);
  }
  return gate_up.is_plain() ? of_plain(x, experts, weights, gate_up.values, down.values)
                            : of_rounded(x, experts, weights, gate_up, down);
}

Tensor moe_swiglu_reference(const Tensor& x, const Tensor& experts, const Tensor& weights,
                            const Tensor& gate_up, const Tensor& down) {
  Tensor out = at::zeros_like(x);
  for (int64_t e = 0; e < gate_up.size(0); ++e) {
    const Tensor weight = (weights * (experts == e)).sum(1, true);
    const Tensor y = at::matmul(swiglu_reference(at::matmul(x, gate_up[e].t())), down[e].t());
    out = out + (y * weight).to(x.scalar_type());
  }
  return out;
}

}  // namespace mythos
