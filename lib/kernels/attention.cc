#include "kernels/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "base/error.h"
#include "kernels/attention_cpu.h"
#include "kernels/autograd.h"

namespace mythos {
namespace {

using torch::Tensor;

Tensor packed(const Tensor& x) {
  return x.stride(3) == 1 ? x : x.contiguous();
}

std::pair<Tensor, Tensor> forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& first_key) {
  const auto options = q.options().requires_grad(false);
  const Tensor out = torch::empty({q.size(0), q.size(1), q.size(2), v.size(3)}, options);
  const Tensor log_sum =
      torch::empty({q.size(0), q.size(2), q.size(1)}, options.dtype(torch::kFloat32));
  cpu::attention_forward(packed(q), packed(k), packed(v), first_key, out, log_sum);
  return {out, log_sum};
}

class CausalAttention : public torch::autograd::Function<CausalAttention> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k,
                        const Tensor& v, const std::optional<Tensor>& first_key) {
    const Tensor first = first_key.value_or(Tensor());
    const auto [out, log_sum] = mythos::forward(q, k, v, first);
    context->save_for_backward({q, k, v, log_sum, first});
    return out;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    std::vector<Tensor> d;
    for (int i = 0; i < 3; ++i) {
      d.push_back(torch::empty(saved[i].sizes(), saved[i].options().requires_grad(false)));
    }
    cpu::attention_backward(packed(saved[0]), packed(saved[1]), packed(saved[2]), saved[4],
                            saved[3], packed(grads[0]), d[0], d[1], d[2]);
    d.emplace_back();
    return d;
  }
};

// What each query may see, [B or 1,1,S,P] bool.
Tensor visible(const Tensor& q, int64_t past, const Tensor& first_key) {
  const int64_t length = q.size(1);
  const Tensor causal =
      at::ones({length, past + length}, q.options().dtype(torch::kBool).requires_grad(false))
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
  if (first_key.scalar_type() == torch::kInt32 && first_key.dim() == 2 &&
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
  const Tensor first = first_key.defined() ? first_key.contiguous() : first_key;
  if (!wants_graph({&q, &k, &v})) return forward(q, k, v, first).first;
  // An undefined tensor cannot be an argument of an autograd function.
  return CausalAttention::apply(q, k, v, first.defined() ? std::optional(first) : std::nullopt);
}

Tensor attention_of_rows(const Tensor& q, const Tensor& k, const Tensor& v, const PackedRows& rows,
                         const Tensor& first_key) {
  if (static_cast<int64_t>(rows.begins.size()) != k.size(0) + 1 ||
      rows.begins.back() != q.size(1) || rows.position.numel() != q.size(1)) {
    fail(ErrorKind::internal, "attention_of_rows: the rows are not those of q and k");
  }
  if (!q.is_cpu()) return library_rows(q, k, v, rows, first_key);
  const Tensor out = torch::empty({1, q.size(1), q.size(2), v.size(3)}, q.options());
  cpu::attention_of_rows(packed(q), packed(k), packed(v), rows, first_key, out);
  return out;
}

Tensor attention_of_rows_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const PackedRows& rows, const Tensor& first_key) {
  const auto wide = [](const Tensor& x) { return x.to(torch::kFloat32); };
  return library_rows(wide(q), wide(k), wide(v), rows, first_key).to(q.scalar_type());
}

Tensor causal_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& first_key) {
  const auto wide = [](const Tensor& x) { return x.to(torch::kFloat32); };
  return library_attention(wide(q), wide(k), wide(v), first_key).to(q.scalar_type());
}

}  // namespace mythos
