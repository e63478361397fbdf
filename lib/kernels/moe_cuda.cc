#include "kernels/moe_cuda.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "kernels/autograd.h"
#include "kernels/cuda_library.h"
#include "kernels/kernels_cuda.h"
#include "kernels/moe_device.h"
#include "kernels/swiglu.h"
#include "kernels/weight.h"

namespace mythos::cuda {
namespace {

using at::Tensor;

// Where each slot's row lies among the rows sorted by expert.
struct Routing {
  Tensor order;  // [N·k] int64: slots by expert
  Tensor place;  // [N·k] int64: its inverse
  Tensor ends;   // [E] int32: end of each expert's rows
};

Routing route(const Tensor& experts, int64_t groups) {
  static const CudaKernel<MoeRoute> kernel("mythos_cuda_moe_route");
  const Tensor flat = experts.contiguous();
  const int64_t slots = flat.numel(), chunks = (slots + kRouteChunk - 1) / kRouteChunk;
  const auto narrow = flat.options().dtype(at::kInt);
  Routing out{at::empty({slots}, flat.options()), at::empty({slots}, flat.options()),
              at::empty({groups}, narrow)};
  const Tensor counts = at::empty({groups * chunks}, narrow);
  const Tensor totals = at::empty({groups}, narrow);
  kernel({flat.data_ptr<int64_t>(), out.order.data_ptr<int64_t>(), out.place.data_ptr<int64_t>(),
          counts.data_ptr<int32_t>(), totals.data_ptr<int32_t>(), out.ends.data_ptr<int32_t>(),
          slots, groups, chunks},
         flat.device());
  return out;
}

// The token's row for each slot in `order`: [N,D] → [N·k,D]
Tensor gather_rows(const Tensor& from, const Tensor& order, int64_t k) {
  static const CudaKernel<MoeGather> kernel("mythos_cuda_moe_gather");
  const Tensor to = at::empty({order.size(0), from.size(1)}, from.options());
  kernel({from.data_ptr(), order.data_ptr<int64_t>(), to.data_ptr(), order.size(0), from.size(1), k,
          number_type(from)},
         from.device());
  return to;
}

// The sum of each token's k rows: [N·k,D] → [N,D]
Tensor combine_rows(const Tensor& from, const Tensor& place, int64_t k) {
  static const CudaKernel<MoeCombine> kernel("mythos_cuda_moe_combine");
  const int64_t rows = place.size(0) / k;
  const Tensor to = at::empty({rows, from.size(1)}, from.options());
  kernel({from.data_ptr(), place.data_ptr<int64_t>(), to.data_ptr(), rows, from.size(1), k,
          number_type(from)},
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

// aᵀ b of each group's rows. a [R,M], b [R,C]; result [E,M,C].
Tensor grouped_weights(const Tensor& a, const Tensor& b, const Tensor& ends) {
  if (library_serves(a.t(), b, ends.size(0))) return at::_grouped_mm(a.t(), b, ends);
  static const CudaKernel<GroupedWeights> kernel("mythos_cuda_grouped_weights");
  const Tensor out = at::empty({ends.size(0), a.size(1), b.size(1)}, a.options());
  kernel({a.data_ptr(), b.data_ptr(), out.data_ptr(), ends.data_ptr<int32_t>(), ends.size(0),
          a.size(1), b.size(1), number_type(a)},
         a.device());
  return out;
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
  const int64_t k = experts.size(1);
  Forward f;
  f.routing = route(experts, gate_up.size(0));
  const Routing& r = f.routing;
  f.hidden = grouped_rows(gather_rows(x, r.order, k), gate_up.transpose(1, 2), r.ends);
  const Tensor act = activation(f.hidden, weights, r.order);
  f.out = combine_rows(grouped_rows(act, down.transpose(1, 2), r.ends), r.place, k);
  return f;
}

std::vector<Tensor> backward(const BackwardPass& pass) {
  const at::NoGradGuard no_grad;
  const auto& saved = pass.saved;
  const Tensor &x = saved[0], &weights = saved[1], &gate_up = saved[2], &down = saved[3];
  const Tensor &hidden = saved[4], &order = saved[5], &place = saved[6], &ends = saved[7];
  const int64_t k = weights.size(1);
  const Tensor d_rows = gather_rows(pass.gradients[0].contiguous(), order, k);
  const Tensor d_down = grouped_weights(d_rows, activation(hidden, weights, order), ends);
  const Tensor d_act = grouped_rows(d_rows, down, ends);
  const Tensor d_hidden = at::empty_like(hidden), d_weights = at::empty_like(weights);
  swiglu_backward(hidden, weights, order, d_act, d_hidden, d_weights);
  const Tensor d_gate_up = grouped_weights(d_hidden, gather_rows(x, order, k), ends);
  const Tensor d_x = combine_rows(grouped_rows(d_hidden, gate_up, ends), place, k);
  return {d_x, d_weights, d_gate_up, d_down};
}

Operation recorded(const Tensor& x, const Tensor& experts, const Tensor& weights,
                   const Tensor& gate_up, const Tensor& down) {
  const Forward f = forward(x, experts, weights, gate_up, down);
  return {{f.out},
          {x, weights, gate_up, down, f.hidden, f.routing.order, f.routing.place, f.routing.ends},
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
