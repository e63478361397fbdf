#include "kernels/attention.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "kernels/attention_cpu.h"
#include "kernels/autograd.h"

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

// What each query may see, [B or 1,1,S,P] bool.
Tensor visible(const Tensor& q, int64_t past, const Tensor& first_key) {
  const int64_t length = q.size(1);
  const Tensor causal =
      at::ones({length, past + length}, q.options().dtype(at::kBool).requires_grad(false))
          .tril(past);
  if (!first_key.defined()) return causal;
  const Tensor key = at::arange(past + length, first_key.options());
  return causal.logical_and(key >= first_key.unsqueeze(-1)).unsqueeze(1);
}

// LibTorch's operator; a mask only where tokens came before or are hidden, its causal form serves
// the rest.
Tensor library_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                         const Tensor& first_key) {
  const int64_t length = q.size(1), past = k.size(1) - length;
  const bool masked = first_key.defined() || (past > 0 && length > 1);
  std::optional<Tensor> mask;
  if (masked) mask = visible(q, past, first_key);
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          mask, 0.0, /*is_causal=*/!masked && length > 1,
                                          std::nullopt, /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

// LibTorch's operator for each sequence by itself.
Tensor library_rows(const Tensor& q, const Tensor& k, const Tensor& v, const PackedRows& rows,
                    const Tensor& first_key) {
  const Tensor key = at::arange(k.size(1), rows.position.options());
  std::vector<Tensor> out;
  for (int64_t b = 0; b < k.size(0); ++b) {
    const int64_t begin = rows.begins[b], count = rows.begins[b + 1] - begin;
    if (count == 0) continue;
    Tensor seen = key <= rows.position.narrow(0, begin, count).unsqueeze(1);
    if (first_key.defined()) {
      seen = seen.logical_and(key >= first_key.narrow(0, begin, count).unsqueeze(1));
    }
    const auto heads = [](const Tensor& x) { return x.unsqueeze(0).transpose(1, 2); };
    out.push_back(at::scaled_dot_product_attention(heads(q[0].narrow(0, begin, count)), heads(k[b]),
                                                   heads(v[b]), seen, 0.0, false, std::nullopt,
                                                   /*enable_gqa=*/q.size(2) != k.size(2))
                      .transpose(1, 2));
  }
  return at::cat(out, 1);
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
  if (!q.is_cpu()) return library_rows(q, k, v, rows, first_key);
  if (q.scalar_type() == at::kHalf) return attention_of_rows_reference(q, k, v, rows, first_key);
  const Tensor out = at::empty({1, q.size(1), q.size(2), v.size(3)}, q.options());
  cpu::attention_of_rows(packed(q), packed(k), packed(v), rows, first_key, out);
  return out;
}

Tensor attention_of_rows_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const PackedRows& rows, const Tensor& first_key) {
  const auto wide = [](const Tensor& x) { return x.to(at::kFloat); };
  return library_rows(wide(q), wide(k), wide(v), rows, first_key).to(q.scalar_type());
}

Tensor causal_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& first_key) {
  const auto wide = [](const Tensor& x) { return x.to(at::kFloat); };
  return library_attention(wide(q), wide(k), wide(v), first_key).to(q.scalar_type());
}

}  // namespace mythos
