#include "ops/attention/attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"
#include "ops/attention/attention_cpu.h"
#include "ops/attention/attention_library.h"
#include "ops/autograd.h"

namespace mythos {
namespace {

using at::Tensor;

Tensor packed(const Tensor& x) {
  return x.stride(3) == 1 ? x : x.contiguous();
}

std::pair<Tensor, Tensor> forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& first_key) {
  const auto options = q.options().requires_grad(false);
  const Tensor out = at::empty({q.size(0), q.size(1), q.size(2), v.size(3)}, options);
  const Tensor log_sum = at::empty({q.size(0), q.size(2), q.size(1)}, options.dtype(at::kFloat));
  cpu::attention_forward(packed(q), packed(k), packed(v), first_key, out, log_sum);
  return {out, log_sum};
}

std::vector<Tensor> backward(const BackwardPass& pass) {
  const Tensor &q = pass.saved[0], &k = pass.saved[1], &v = pass.saved[2];
  std::vector<Tensor> d;
  for (const Tensor& input : {q, k, v}) {
    d.push_back(at::empty(input.sizes(), input.options().requires_grad(false)));
  }
  cpu::attention_backward(packed(q), packed(k), packed(v), /*first_key=*/pass.saved[4],
                          /*log_sum=*/pass.saved[3], packed(pass.gradients[0]), d[0], d[1], d[2]);
  return d;
}

// LibTorch's operator in whichever form it chooses. seen [S,P] or [B,1,S,P] bool.
Tensor plain_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& seen) {
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          seen, 0.0, /*is_causal=*/false, std::nullopt,
                                          /*enable_gqa=*/true)
      .transpose(1, 2);
}

// a·b of batches, not rounded to the factors' type.
Tensor fp32_product(const Tensor& a, const Tensor& b) {
  if (a.is_cuda() && a.scalar_type() != at::kFloat) return at::bmm(a, b, at::kFloat);
  return at::bmm(a.to(at::kFloat), b.to(at::kFloat));
}

void check_first_key(const Tensor& q, const Tensor& first_key) {
  if (!first_key.defined()) return;
  if (first_key.scalar_type() == at::kInt && first_key.dim() == 2 &&
      first_key.size(0) == q.size(0) && first_key.size(1) == q.size(1)) {
    return;
  }
  fail(ErrorKind::internal, "causal_attention: first_key is not an int32 tensor [B,S]");
}

}  // namespace

Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const Tensor& first_key) {
  check_first_key(q, first_key);
  if (!q.is_cpu()) return library_attention(q, k, v, first_key);
  if (q.scalar_type() == at::kHalf) return causal_attention_reference(q, k, v, first_key);
  const Tensor first = first_key.defined() ? first_key.contiguous() : first_key;
  if (!wants_graph({&q, &k, &v})) return forward(q, k, v, first).first;
  return record_operation("CausalAttentionBackward", {q, k, v}, [&] {
    const auto [out, log_sum] = forward(q, k, v, first);
    return Operation{{out}, {q, k, v, log_sum, first}, backward};
  })[0];
}

Tensor attention_of_rows(const Tensor& q, const Tensor& k, const Tensor& v, const PackedRows& rows,
                         const Tensor& first_key) {
  if (static_cast<int64_t>(rows.begins.size()) != k.size(0) + 1 ||
      rows.begins.back() != q.size(1) || rows.position.numel() != q.size(1)) {
    fail(ErrorKind::internal, "attention_of_rows: the rows are not those of q and k");
  }
  if (!q.is_cpu()) return library_attention_of_rows(q, k, v, rows, first_key);
  if (q.scalar_type() == at::kHalf) return attention_of_rows_reference(q, k, v, rows, first_key);
  const Tensor out = at::empty({1, q.size(1), q.size(2), v.size(3)}, q.options());
  cpu::attention_of_rows(packed(q), packed(k), packed(v), rows, first_key, out);
  return out;
}

Tensor latent_attention(const Tensor& query, const Tensor& latents, int64_t rank, double scale,
                        const Tensor& position) {
  const int64_t S = query.size(2), P = latents.size(1);
  Tensor scores =
      fp32_product(query.flatten(1, 2), latents.transpose(1, 2)).view({-1, query.size(1), S, P}) *
      scale;
  if (position.defined() || S > 1) {
    const auto counted = at::TensorOptions().dtype(at::kInt).device(query.device());
    const Tensor last = position.defined() ? position : at::arange(P - S, P, counted);
    scores.masked_fill_(at::arange(P, counted) > last.unsqueeze(1), -INFINITY);
  }
  const Tensor weights = scores.softmax(-1).to(query.scalar_type());  // [B,H,S,P]
  return at::bmm(weights.flatten(1, 2), latents.narrow(2, 0, rank))
      .view({-1, query.size(1), S, rank});
}

Tensor attention_of_rows_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const PackedRows& rows, const Tensor& first_key) {
  const auto wide = [](const Tensor& x) { return x.to(at::kFloat); };
  return attend_by_sequence(wide(q), wide(k), wide(v), rows, first_key, plain_attention)
      .to(q.scalar_type());
}

Tensor causal_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& first_key) {
  const auto wide = [](const Tensor& x) { return x.to(at::kFloat); };
  const Tensor seen = visible_keys(q, k.size(1), first_key);
  return plain_attention(wide(q), wide(k), wide(v), seen).to(q.scalar_type());
}

WithoutCudnnAttention::WithoutCudnnAttention()
    : before_(at::globalContext().userEnabledCuDNNSDP()) {
  at::globalContext().setSDPUseCuDNN(false);
}
WithoutCudnnAttention::~WithoutCudnnAttention() {
  at::globalContext().setSDPUseCuDNN(before_);
}

}  // namespace mythos
