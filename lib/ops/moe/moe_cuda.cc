#include "ops/moe/moe_cuda.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <memory>
#include <utility>

#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/kernels_cuda.h"
#include "ops/linear/weight.h"
#include "ops/moe/moe_device.h"
#include "ops/swiglu/swiglu.h"

namespace mythos::cuda {
namespace {

using at::Tensor;

// Where each slot's row lies among the rows sorted by expert.
struct Routing {
  Tensor experts;  // [N,k] int64
  Tensor order;    // [N·k] int64: slots by expert
  Tensor place;    // [N·k] int64: its inverse
  Tensor ends;     // [E] int32: end of each expert's rows

  int64_t per_token() const { return experts.size(1); }
};

Routing route(const Tensor& experts, int64_t groups) {
  static const CudaKernel<MoeRoute> kernel("mythos_cuda_moe_route");
  const Tensor flat = experts.contiguous();
  const int64_t slots = flat.numel(), chunks = (slots + kRouteChunk - 1) / kRouteChunk;
  const auto narrow = flat.options().dtype(at::kInt);
  Routing out{flat, at::empty({slots}, flat.options()), at::empty({slots}, flat.options()),
              at::empty({groups}, narrow)};
  const Tensor counts = at::empty({groups * chunks}, narrow);
  const Tensor totals = at::empty({groups}, narrow);
  kernel({flat.data_ptr<int64_t>(), out.order.data_ptr<int64_t>(), out.place.data_ptr<int64_t>(),
          counts.data_ptr<int32_t>(), totals.data_ptr<int32_t>(), out.ends.data_ptr<int32_t>(),
          slots, groups, chunks},
         flat.device());
  return out;
}

// What one pass holds of its slots: a row of each, sorted by expert [N·k,·], or the rows of the
// tokens [N,·].
struct Rows {
  Tensor values;
  bool of_tokens;
};

// The row of each slot goes to to[place[slot]], or to its own place when `place` is undefined.
void gather_rows(const Rows& from, const Routing& routing, const Tensor& place, const Tensor& to) {
  static const CudaKernel<MoeGather> kernel("mythos_cuda_moe_gather");
  kernel(
      {from.values.data_ptr(), routing.order.data_ptr<int64_t>(),
       place.defined() ? place.data_ptr<int64_t>() : nullptr, to.data_ptr(), routing.order.size(0),
       to.size(1), from.of_tokens ? routing.per_token() : 0, number_type(to)},
      to.device());
}

// Sorted by expert.
Tensor sorted_rows(const Rows& from, const Routing& routing) {
  if (!from.of_tokens) return from.values;
  const Tensor to = at::empty({routing.order.size(0), from.values.size(1)}, from.values.options());
  gather_rows(from, routing, {}, to);
  return to;
}

// The sum of each token's k rows: [N·k,D] → [N,D]
Tensor combine_rows(const Tensor& from, const Routing& routing) {
  static const CudaKernel<MoeCombine> kernel("mythos_cuda_moe_combine");
  const int64_t rows = routing.experts.size(0);
  const Tensor to = at::empty({rows, from.size(1)}, from.options());
  kernel({from.data_ptr(), routing.place.data_ptr<int64_t>(), to.data_ptr(), rows, from.size(1),
          routing.per_token(), number_type(from)},
         from.device());
  return to;
}

// bf16 matrices that begin at whole 16 bytes, and so do their rows or, of a transposed one, their
// columns.
bool whole_chunks(const Tensor& x) {
  constexpr int64_t kChunk = 16 / sizeof(c10::BFloat16);
  const int64_t row = x.stride(-2), column = x.stride(-1);
  return x.scalar_type() == at::kBFloat16 && reinterpret_cast<uintptr_t>(x.data_ptr()) % 16 == 0 &&
         (x.dim() == 2 || x.stride(0) % kChunk == 0) &&
         ((column == 1 && row % kChunk == 0 && row >= x.size(-1)) ||
          (row == 1 && column % kChunk == 0 && column >= x.size(-2)));
}

// Whether LibTorch's grouped product takes a [.,.] and b [.,.] or [E,.,.] and gives a contiguous
// result: it fails on what is not in whole 16 bytes, and on 1024 groups.
bool library_serves(const Tensor& a, const Tensor& b, int64_t groups) {
  return a.numel() > 0 && b.size(-1) % 8 == 0 && groups < 1024 && whole_chunks(a) &&
         whole_chunks(b);
}

// Rows of group e times b[e]. a [R,K]; b [E,K,C] of any strides; result [R,C].
Tensor grouped_rows(const Tensor& a, const Tensor& b, const Tensor& ends) {
  if (library_serves(a, b, ends.size(0))) return at::_grouped_mm(a, b, ends);
  static const CudaKernel<GroupedRows> kernel("mythos_cuda_grouped_rows");
  const Tensor out = at::empty({a.size(0), b.size(2)}, a.options());
  kernel({a.data_ptr(), b.data_ptr(), out.data_ptr(), ends.data_ptr<int32_t>(), b.size(0),
          a.size(0), a.size(1), b.size(2), b.stride(0), b.stride(1), b.stride(2), number_type(a)},
         a.device());
  return out;
}

// What a weight's gradient is made of in one pass: aᵀ b over each expert's rows.
struct Factors {
  Rows a, b;  // of widths M and C for a weight [E,M,C]
  Routing routing;
};

int64_t groups_of(const Factors& f) {
  return f.routing.ends.size(0);
}

// The memory of a sum [E,M,C] in fp32 that is yet to be written.
Tensor unwritten_sum(const Factors& f) {
  const Tensor &a = f.a.values, &b = f.b.values;
  return at::empty({groups_of(f), a.size(1), b.size(1)}, a.options().dtype(at::kFloat));
}

// sum += aᵀ b in this project's arithmetic. `sum` may be undefined.
void add_own_product(Tensor& sum, const Factors& f) {
  static const CudaKernel<GroupedWeights> kernel("mythos_cuda_grouped_weights");
  const bool adds = sum.defined();
  if (!adds) sum = unwritten_sum(f);
  const Tensor a = sorted_rows(f.a, f.routing), b = sorted_rows(f.b, f.routing);
  kernel({a.data_ptr(), b.data_ptr(), sum.data_ptr<float>(), f.routing.ends.data_ptr<int32_t>(),
          groups_of(f), a.size(1), b.size(1), number_type(a), adds},
         a.device());
}

// sum += aᵀ b by LibTorch's product, which must serve the factors. `sum` may be undefined. Experts
// without rows are left out: on sm_100 their product is whatever memory held (pytorch #172439).
void add_library_product(Tensor& sum, const Factors& f) {
  static const CudaKernel<GroupedAdd> kernel("mythos_cuda_grouped_add");
  const Tensor a = sorted_rows(f.a, f.routing), b = sorted_rows(f.b, f.routing);
  const Tensor product = at::_grouped_mm(a.t(), b, f.routing.ends);
  const bool adds = sum.defined();
  if (!adds) sum = unwritten_sum(f);
  kernel({product.data_ptr(), sum.data_ptr<float>(), f.routing.ends.data_ptr<int32_t>(),
          groups_of(f), product.stride(0), adds},
         product.device());
}

// The passes of several loops as one, with the rows of all sorted by expert.
Factors joined(const std::vector<Factors>& loops) {
  if (loops.size() == 1) return loops[0];
  std::vector<Tensor> experts;
  for (const Factors& f : loops) experts.push_back(f.routing.experts.view({-1}));
  Factors all;
  all.routing = route(at::cat(experts), groups_of(loops[0]));
  const auto gathered = [&](Rows Factors::*side) {
    const Tensor& first = (loops[0].*side).values;
    const Tensor to = at::empty({all.routing.order.size(0), first.size(1)}, first.options());
    int64_t begin = 0;
    for (const Factors& f : loops) {
      const int64_t slots = f.routing.order.size(0);
      gather_rows(f.*side, f.routing, all.routing.place.narrow(0, begin, slots), to);
      begin += slots;
    }
    return Rows{to, false};
  };
  all.a = gathered(&Factors::a);
  all.b = gathered(&Factors::b);
  return all;
}

// Passes whose products are put off until their rows take as much memory as the weight: then its
// sum is read and written once for all of them, and their products are rounded once.
class DelayedLoops : public DelayedProducts {
 public:
  explicit DelayedLoops(const Tensor& w) : limit_bytes_(w.nbytes()) {}

  // Adds what is held to `sum` once the limit is reached.
  void keep(Factors f, Tensor& sum) {
    bytes_ += f.a.values.nbytes() + f.b.values.nbytes();
    loops_.push_back(std::move(f));
    if (bytes_ >= limit_bytes_) add_to(sum);
  }
  void add_to(Tensor& sum) override {
    const at::NoGradGuard no_grad;
    if (loops_.empty()) return;
    const Factors all = joined(std::exchange(loops_, {}));
    bytes_ = 0;
    add_library_product(sum, all);
  }

 private:
  size_t limit_bytes_, bytes_ = 0;
  std::vector<Factors> loops_;
};

// Adds a pass to the gradient of w. Gives what autograd is given: nothing where w is shared.
Tensor add_gradient(const Tensor& w, Factors f) {
  Tensor own;
  Tensor* const shared = gradient_sum(w);
  Tensor& sum = shared ? *shared : own;
  if (!library_serves(f.a.values.t(), f.b.values, groups_of(f))) {
    add_own_product(sum, f);
  } else if (!shared) {
    add_library_product(sum, f);
  } else {
    std::unique_ptr<DelayedProducts>& delayed = *delayed_products(w);
    if (!delayed) delayed = std::make_unique<DelayedLoops>(w);
    static_cast<DelayedLoops&>(*delayed).keep(std::move(f), sum);
  }
  return shared ? Tensor() : own.to(w.scalar_type());
}

// The rows after SwiGLU, each times its routing weight: [N·k,2F] → [N·k,F]
Tensor activation(const Tensor& hidden, const Tensor& weights, const Tensor& order) {
  const Tensor out = at::empty({hidden.size(0), hidden.size(1) / 2}, hidden.options());
  swiglu_forward(hidden, weights, order, out);
  return out;
}

struct Forward {
  Routing routing;
  Tensor hidden;  // [N·k,2F] before SwiGLU
  Tensor out;
};

Forward forward(const Tensor& x, const Tensor& experts, const Tensor& weights,
                const Tensor& gate_up, const Tensor& down) {
  const at::NoGradGuard no_grad;
  Forward f;
  f.routing = route(experts, gate_up.size(0));
  const Routing& r = f.routing;
  f.hidden = grouped_rows(sorted_rows({x, true}, r), gate_up.transpose(1, 2), r.ends);
  const Tensor act = activation(f.hidden, weights, r.order);
  f.out = combine_rows(grouped_rows(act, down.transpose(1, 2), r.ends), r);
  return f;
}

std::vector<Tensor> backward(const BackwardPass& pass) {
  const at::NoGradGuard no_grad;
  const auto& saved = pass.saved;
  const Tensor &x = saved[0], &weights = saved[1], &gate_up = saved[2], &down = saved[3];
  const Tensor& hidden = saved[4];
  const Routing r{saved[5], saved[6], saved[7], saved[8]};
  const Rows d_out{pass.gradients[0].contiguous(), true};
  const Tensor d_act = grouped_rows(sorted_rows(d_out, r), down, r.ends);
  const Tensor d_hidden = at::empty_like(hidden), d_weights = at::empty_like(weights);
  swiglu_backward(hidden, weights, r.order, d_act, d_hidden, d_weights);
  const Tensor d_down =
      add_gradient(down, {d_out, {activation(hidden, weights, r.order), false}, r});
  const Tensor d_gate_up = add_gradient(gate_up, {{d_hidden, false}, {x.detach(), true}, r});
  const Tensor d_x = combine_rows(grouped_rows(d_hidden, gate_up, r.ends), r);
  return {d_x, d_weights, d_gate_up, d_down};
}

Operation recorded(const Tensor& x, const Tensor& experts, const Tensor& weights,
                   const Tensor& gate_up, const Tensor& down) {
  const Forward f = forward(x, experts, weights, gate_up, down);
  const Routing& r = f.routing;
  return {{f.out},
          {x, weights, gate_up, down, f.hidden, r.experts, r.order, r.place, r.ends},
          backward};
}

// A weight of experts for plain products. Their gradient is taken over from LibTorch for experts
// that have rows only: on sm_100 it leaves whatever memory held for the others. The gradient goes
// to the one sum of a shared weight.
Tensor plain_weight(const Tensor& w, const Tensor& ends) {
  return record_operation("ExpertWeightBackward", {w}, [&] {
    Operation operation{{w.detach()}, {w, ends}};
    operation.backward = [](const BackwardPass& pass) -> std::vector<Tensor> {
      const Tensor &w = pass.saved[0], &ends = pass.saved[1];
      const Tensor used = at::diff(ends, 1, 0, at::zeros({1}, ends.options())).ne(0);
      const Tensor d = at::where(used.view({-1, 1, 1}), pass.gradients[0], 0);
      Tensor* sum = gradient_sum(w);
      if (!sum) return {d};
      *sum = sum->defined() ? sum->add_(d) : d.to(at::kFloat);
      return {Tensor()};
    };
    return operation;
  })[0];
}

// Rows of group e times b[e] with a gradient. a [R,K]; b [E,K,C] of any strides; result [R,C].
Tensor plain_rows(const Tensor& a, const Tensor& b, const Tensor& ends) {
  if (library_serves(a, b, ends.size(0))) return at::_grouped_mm(a, b, ends);
  const Tensor host = ends.to(at::kCPU);
  std::vector<int64_t> counts;
  for (int64_t e = 0, begin = 0; e < host.size(0); begin = host.data_ptr<int32_t>()[e++]) {
    counts.push_back(host.data_ptr<int32_t>()[e] - begin);
  }
  std::vector<Tensor> parts = a.split_with_sizes(counts);
  const std::vector<Tensor> each = b.unbind(0);
  for (size_t e = 0; e < parts.size(); ++e) parts[e] = at::mm(parts[e], each[e]);
  return at::cat(parts);
}

}  // namespace

Tensor moe_swiglu(const Tensor& x, const Tensor& experts, const Tensor& weights,
                  const Tensor& gate_up, const Tensor& down) {
  const Tensor rows = x.contiguous(), scale = weights.contiguous();
  if (wants_graph({&x, &weights, &gate_up, &down})) {
    const Tensor up = gate_up.contiguous(), packed_down = down.contiguous();
    return record_operation("MoeSwiGluBackward", {rows, scale, up, packed_down},
                            [&] { return recorded(rows, experts, scale, up, packed_down); })[0];
  }
  return forward(rows, experts, scale, gate_up, down).out;
}

Tensor moe_swiglu_plain(const Tensor& x, const Tensor& experts, const Tensor& weights,
                        const Tensor& gate_up, const Tensor& down) {
  const int64_t k = experts.size(1), count = experts.numel();
  const auto sorted = experts.reshape({-1}).sort(/*stable=*/true, 0, /*descending=*/false);
  const Tensor order = std::get<1>(sorted);
  const Tensor ids = at::arange(gate_up.size(0), experts.options());
  const Tensor ends =
      at::searchsorted(std::get<0>(sorted), ids, /*out_int32=*/true, /*right=*/true);
  const Tensor rows = x.index_select(0, order.floor_divide(k));
  const Tensor h = plain_rows(rows, plain_weight(gate_up, ends).transpose(1, 2), ends);
  const Tensor scale = weights.reshape({-1}).index_select(0, order).unsqueeze(1);
  const Tensor act = (swiglu(h) * scale).to(x.scalar_type());
  const Tensor y = plain_rows(act, plain_weight(down, ends).transpose(1, 2), ends);
  // Back to token order by the inverse permutation: each token's k rows are summed in a fixed
  // order.
  const Tensor inverse =
      at::empty_like(order).scatter_(0, order, at::arange(count, order.options()));
  return y.index_select(0, inverse).view({x.size(0), k, x.size(1)}).sum(1);
}

}  // namespace mythos::cuda
