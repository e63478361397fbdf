#include "kernels/moe.h"

#include "kernels/autograd.h"
#include "kernels/cuda_library.h"
#include "kernels/linear.h"
#include "kernels/moe_cpu.h"
#include "kernels/moe_cuda.h"
#include "kernels/swiglu.h"
#include "kernels/swiglu_cpu.h"
#include "kernels/weight.h"

namespace mythos {
namespace {

using torch::Tensor;

// The rows of one expert, brought to a multiple of kRowStep by repeating token 0 with weight 0: the
// products then meet few shapes, and oneDNN prepares a kernel for each shape that it has not seen.
struct ExpertRows {
  Tensor token;   // [padded]
  Tensor weight;  // [padded] fp32
  Tensor slot;    // [n], the true ones
  int64_t count() const { return slot.size(0); }
};

constexpr int64_t kRowStep = 32;

ExpertRows rows_of(const cpu::Routing& routing, const Tensor& weights, int64_t expert) {
  const int64_t begin = routing.begin[expert], count = routing.begin[expert + 1] - begin;
  const int64_t padded = count < kRowStep ? count : (count + kRowStep - 1) / kRowStep * kRowStep;
  ExpertRows rows{torch::zeros({padded}, torch::kInt64), torch::zeros({padded}, torch::kFloat32),
                  routing.slot.narrow(0, begin, count)};
  rows.token.narrow(0, 0, count).copy_(routing.token.narrow(0, begin, count));
  rows.weight.narrow(0, 0, count).copy_(weights.view({-1}).index_select(0, rows.slot));
  return rows;
}

bool empty(const cpu::Routing& routing, int64_t expert) {
  return routing.begin[expert] == routing.begin[expert + 1];
}

// The expert's gate and up products are kept in `hidden` for the backward pass where wanted.
Tensor forward_cpu(const Tensor& x, const Tensor& weights, const Tensor& gate_up,
                   const Tensor& down, const cpu::Routing& routing, std::vector<Tensor>* hidden) {
  const Tensor out = torch::zeros(x.sizes(), x.options().requires_grad(false));
  for (int64_t e = 0; e < gate_up.size(0); ++e) {
    if (empty(routing, e)) continue;
    const ExpertRows rows = rows_of(routing, weights, e);
    const Tensor h = matmul_nt(x.index_select(0, rows.token), gate_up[e]);
    const Tensor act = torch::empty({h.size(0), down.size(2)}, h.options());
    cpu::swiglu_forward(h, rows.weight, act);
    cpu::scatter_add_rows(out, rows.token, matmul_nt(act, down[e]), rows.count());
    if (hidden) hidden->push_back(h);
  }
  return out;
}

// The gradient of packed experts [E,·,·].
class ExpertGradient {
 public:
  explicit ExpertGradient(const Tensor& w) : w_(w), shared_(gradient_sum(w)) {
    Tensor& sum = shared_ ? *shared_ : own_;
    if (!sum.defined()) {
      sum = torch::zeros(w.sizes(), w.options().dtype(torch::kFloat32).requires_grad(false));
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

class MoeSwiGlu : public torch::autograd::Function<MoeSwiGlu> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        const Tensor& experts, const Tensor& weights, const Tensor& gate_up,
                        const Tensor& down) {
    const cpu::Routing routing = cpu::route(experts, gate_up.size(0));
    std::vector<Tensor> hidden;
    const Tensor out = forward_cpu(x, weights, gate_up, down, routing, &hidden);
    context->save_for_backward({x, experts, weights, gate_up, down});
    context->saved_data["hidden"] = hidden;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor x = saved[0], weights = saved[2], gate_up = saved[3], down = saved[4];
    const cpu::Routing routing = cpu::route(saved[1], gate_up.size(0));
    const std::vector<Tensor> hidden = context->saved_data["hidden"].toTensorVector();
    const Tensor d = grads[0].contiguous();
    const auto options = x.options().requires_grad(false);
    const Tensor d_x = torch::zeros(x.sizes(), options);
    const Tensor d_weights = torch::zeros_like(weights).view({-1});
    ExpertGradient d_gate_up(gate_up), d_down(down);
    size_t next = 0;
    for (int64_t e = 0; e < gate_up.size(0); ++e) {
      if (empty(routing, e)) continue;
      const ExpertRows rows = rows_of(routing, weights, e);
      const Tensor& h = hidden[next++];
      const Tensor d_rows = d.index_select(0, rows.token);
      const Tensor act = torch::empty({h.size(0), down.size(2)}, options);
      cpu::swiglu_forward(h, rows.weight, act);
      d_down.add(e, d_rows, act);
      const Tensor d_act = matmul_nn(d_rows, down[e]);
      const Tensor d_h = torch::empty(h.sizes(), options);
      const Tensor d_weight = torch::empty_like(rows.weight);
      cpu::swiglu_backward(h, rows.weight, d_act, d_h, d_weight);
      d_weights.index_copy_(0, rows.slot, d_weight.narrow(0, 0, rows.count()));
      d_gate_up.add(e, d_h, x.index_select(0, rows.token));
      cpu::scatter_add_rows(d_x, rows.token, matmul_nn(d_h, gate_up[e]), rows.count());
    }
    return {d_x, Tensor(), d_weights.view(weights.sizes()), d_gate_up.returned(),
            d_down.returned()};
  }
};

}  // namespace

Tensor moe_swiglu(const Tensor& x, const Tensor& experts, const Tensor& weights,
                  const Tensor& gate_up, const Tensor& down) {
  const Backend backend = backend_of(x);
  if (backend == Backend::cuda) return cuda::moe_swiglu(x, experts, weights, gate_up, down);
  if (backend == Backend::plain) return cuda::moe_swiglu_plain(x, experts, weights, gate_up, down);
  const Tensor rows = x.contiguous(), scale = weights.contiguous();
  if (wants_graph({&x, &weights, &gate_up, &down})) {
    return MoeSwiGlu::apply(rows, experts, scale, gate_up, down);
  }
  return forward_cpu(rows, scale, gate_up, down, cpu::route(experts, gate_up.size(0)), nullptr);
}

Tensor moe_swiglu_reference(const Tensor& x, const Tensor& experts, const Tensor& weights,
                            const Tensor& gate_up, const Tensor& down) {
  Tensor out = torch::zeros_like(x);
  for (int64_t e = 0; e < gate_up.size(0); ++e) {
    const Tensor weight = (weights * (experts == e)).sum(1, true);
    const Tensor y = torch::matmul(swiglu_reference(torch::matmul(x, gate_up[e].t())), down[e].t());
    out = out + (y * weight).to(x.scalar_type());
  }
  return out;
}

}  // namespace mythos
