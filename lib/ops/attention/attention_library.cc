#include "ops/attention/attention_library.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "device/cuda_library.h"

namespace mythos {
namespace {

using at::Tensor;

// Every form takes widths that are multiples of this.
constexpr int64_t kAligned = 8;
// Beyond it some devices have no backward pass of flash attention.
constexpr int64_t kMostFlashWidth = 192;

int64_t aligned(int64_t width) {
  return (width + kAligned - 1) / kAligned * kAligned;
}

Tensor widened(const Tensor& x, int64_t width) {
  return x.size(3) == width ? x : at::constant_pad_nd(x, {0, width - x.size(3)});
}

Tensor repeated(const Tensor& x, int64_t heads) {
  return x.size(2) == heads ? x : x.repeat_interleave(heads / x.size(2), 2);
}

AttentionShape shape_of(const Tensor& q, const Tensor& k, const Tensor& v, bool hides) {
  return {.queries = q.size(1),
          .keys = k.size(1),
          .heads = q.size(2),
          .key_heads = k.size(2),
          .width = q.size(3),
          .value_width = v.size(3),
          .type = q.scalar_type(),
          .hides = hides,
          .flash = backend_of(q) == Backend::cuda};
}

Tensor attend(const AttentionPlan& plan, Tensor q, Tensor k, Tensor v,
              const std::optional<Tensor>& mask) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const int64_t heads = q.size(2), key_heads = k.size(2), value_width = v.size(3);
  const bool causal = !mask && q.size(1) > 1, as_queries = plan.groups == GroupedHeads::as_queries;
  q = widened(q, plan.width), k = widened(k, plan.width), v = widened(v, plan.value_width);
  if (plan.groups == GroupedHeads::repeated) k = repeated(k, heads), v = repeated(v, heads);
  // The operators take [B,H,S,d], of a group's heads as queries [B,K,H/K,d].
  q = as_queries ? q.squeeze(1).unflatten(1, {key_heads, -1}) : q.transpose(1, 2);
  k = k.transpose(1, 2), v = v.transpose(1, 2);
  Tensor out;
  if (plan.form == AttentionForm::flash) {
    out = std::get<0>(at::_scaled_dot_product_flash_attention(q, k, v, /*dropout_p=*/0.0, causal,
                                                              /*return_debug_mask=*/false, scale));
  } else {
    out = at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, causal, scale,
                                           /*enable_gqa=*/q.size(1) != k.size(1));
  }
  out = as_queries ? out.flatten(1, 2).unsqueeze(1) : out.transpose(1, 2);
  return out.narrow(3, 0, value_width);
}

}  // namespace

AttentionPlan attention_plan(const AttentionShape& shape) {
  const bool grouped = shape.heads != shape.key_heads;
  const GroupedHeads repeated = grouped ? GroupedHeads::repeated : GroupedHeads::kept;
  const int64_t width = aligned(shape.width), value_width = aligned(shape.value_width),
                widest = std::max(width, value_width);
  const bool half = shape.type == at::kHalf || shape.type == at::kBFloat16;
  const bool flash = shape.flash && half && widest <= kMostFlashWidth;
  const AttentionPlan masked = {AttentionForm::masked, repeated, width, value_width};
  if (shape.hides) return masked;
  if (shape.queries == 1) {
    const GroupedHeads groups = grouped ? GroupedHeads::as_queries : GroupedHeads::kept;
    return {AttentionForm::plain, groups, width, value_width};
  }
  if (shape.queries == shape.keys) {
    const bool knows_groups = flash && width == value_width;
    return {AttentionForm::plain, knows_groups ? GroupedHeads::kept : repeated, width, value_width};
  }
  return flash ? AttentionPlan{AttentionForm::flash, GroupedHeads::kept, widest, widest} : masked;
}

Tensor library_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                         const Tensor& first_key) {
  const AttentionPlan plan = attention_plan(shape_of(q, k, v, first_key.defined()));
  std::optional<Tensor> mask;
  if (plan.form == AttentionForm::masked) mask = visible_keys(q, k.size(1), first_key);
  return attend(plan, q, k, v, mask);
}

Tensor library_attention_of_rows(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const PackedRows& rows, const Tensor& first_key) {
  return attend_by_sequence(
      q, k, v, rows, first_key,
      [](const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& seen) {
        return attend(attention_plan(shape_of(q, k, v, /*hides=*/true)), q, k, v, seen);
      });
}

Tensor visible_keys(const Tensor& q, int64_t keys, const Tensor& first_key) {
  const int64_t queries = q.size(1);
  const auto flags = q.options().dtype(at::kBool).requires_grad(false);
  const Tensor causal = at::ones({queries, keys}, flags).tril(keys - queries);
  if (!first_key.defined()) return causal;
  const Tensor key = at::arange(keys, first_key.options());
  return causal.logical_and(key >= first_key.unsqueeze(-1)).unsqueeze(1);
}

Tensor attend_by_sequence(const Tensor& q, const Tensor& k, const Tensor& v, const PackedRows& rows,
                          const Tensor& first_key, const AttendToSome& attend) {
  const Tensor key = at::arange(k.size(1), rows.position.options());
  std::vector<Tensor> out;
  for (int64_t b = 0; b < k.size(0); ++b) {
    const int64_t begin = rows.begins[b], count = rows.begins[b + 1] - begin;
    if (count == 0) continue;
    Tensor seen = key <= rows.position.narrow(0, begin, count).unsqueeze(1);
    if (first_key.defined()) {
      seen = seen.logical_and(key >= first_key.narrow(0, begin, count).unsqueeze(1));
    }
    out.push_back(attend(q.narrow(1, begin, count), k.narrow(0, b, 1), v.narrow(0, b, 1), seen));
  }
  return at::cat(out, 1);
}

}  // namespace mythos
