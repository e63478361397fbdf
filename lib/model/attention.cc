#include "model/attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ops/attention/attention.h"
#include "ops/attention/rope.h"
#include "ops/linear/linear.h"
#include "ops/norm/rms_norm.h"

namespace mythos {
namespace {

// Up to this many new tokens, cached latent attention works in the latent space; more tokens repay
// the expansion of the cache to keys and values.
constexpr int64_t kAbsorbedTokens = 16;

// Of all positions [B,S,...]: what was computed for those that run, `fresh`, and for the others
// what the loop before kept. Kept for the next loop.
Tensor keep_halted(const AttentionContext& context, Tensor& kept, const Tensor& fresh) {
  if (context.places.defined()) {
    std::vector<int64_t> shape = fresh[0].sizes().vec();
    shape[0] = -1;
    kept.view(shape).index_copy_(0, context.places, fresh[0]);
  } else if (context.running.defined()) {
    const auto& running = context.running;
    std::vector<int64_t> shape(static_cast<size_t>(fresh.dim()), 1);
    shape[0] = running.size(0), shape[1] = running.size(1);
    kept = at::where(running.view(shape), fresh, kept);
  } else {
    kept = fresh;
  }
  return kept;
}

// q [B,s,H,·] of the last s positions.
Tensor rotated_query(const Tensor& q, const AttentionContext& context) {
  const int64_t first = context.cos.size(0) - q.size(1);
  return rope(q, context.cos.narrow(0, first, q.size(1)), context.sin.narrow(0, first, q.size(1)));
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionContext& context) {
  return context.places.defined()
             ? attention_of_rows(q, k, v, context.rows, context.document_begins)
             : causal_attention(q, k, v, context.document_begins);
}

Tensor grouped_query(const ModelConfig& config, const GroupedAttentionTensors<Tensor, Matrix>& w,
                     const Tensor& x, const AttentionContext& context, int64_t slot,
                     KeptKeys* kept) {
  const int64_t H = config.n_heads, K = config.n_kv_heads, d = config.head_dim();
  const auto parts = apply_linear(x, w.qkv).split_with_sizes({H * d, K * d, K * d}, -1);
  Tensor q = queried(parts[0], context).unflatten(-1, {H, d}), k = parts[1].unflatten(-1, {K, d});
  Tensor v = parts[2].unflatten(-1, {K, d});
  if (w.k_norm.defined()) {
    q = rms_norm(q, w.q_norm, config.norm_eps);
    k = rms_norm(k, w.k_norm, config.norm_eps);
  }
  q = rotated_query(q, context);
  k = rope(k, context.cos, context.sin);
  if (kept) {
    k = keep_halted(context, kept->a, k);
    v = keep_halted(context, kept->b, v);
  }
  if (context.cache) std::tie(k, v) = context.cache->append(slot, k, v);
  return apply_linear(attend(q, k, v, context).flatten(2), w.wo);
}

// Scores and values in the latent space: kv_up is folded into query and output, so the cache is
// never expanded (DeepSeek-V2, section 2.1.2). q [B,S,H,nope+rope], cached [B,P,rank+rope] →
// [B,S,H·v].
Tensor absorbed(const ModelConfig& config, const LatentAttentionTensors<Tensor, Matrix>& w,
                const Tensor& q, const Tensor& cached, const AttentionContext& context) {
  const int64_t H = config.n_heads, rank = config.kv_lora_rank, nope = config.qk_nope_head_dim;
  const Tensor up = w.kv_up.view({H, nope + config.v_head_dim, rank});
  const Tensor heads = q.transpose(1, 2);  // [B,H,S,·]
  const Tensor latent = at::matmul(heads.narrow(3, 0, nope), up.narrow(1, 0, nope));
  const Tensor query = at::cat({latent, heads.narrow(3, nope, config.qk_rope_head_dim)}, 3);
  const double scale = 1 / std::sqrt(static_cast<double>(config.qk_head_dim()));
  const Tensor values =  // [B,H,S,rank]
      latent_attention(query, cached, rank, scale, context.rows.position);
  const Tensor out = at::matmul(values, up.narrow(1, nope, config.v_head_dim).transpose(1, 2));
  return out.transpose(1, 2).flatten(2);
}

Tensor latent(const ModelConfig& config, const LatentAttentionTensors<Tensor, Matrix>& w,
              const Tensor& x, const AttentionContext& context, int64_t slot, KeptKeys* kept) {
  const int64_t H = config.n_heads, nope = config.qk_nope_head_dim,
                rope_dim = config.qk_rope_head_dim;
  const auto parts = apply_linear(x, w.down).split_with_sizes(
      {config.q_lora_rank, config.kv_lora_rank, rope_dim}, -1);
  const Tensor q_latent = rms_norm(queried(parts[0], context), w.q_norm, config.norm_eps);
  Tensor kv_latent = rms_norm(parts[1], w.kv_norm, config.norm_eps);
  Tensor rotated = rope(parts[2].unsqueeze(2), context.cos, context.sin);  // one key for all heads
  const Tensor q =
      rotated_query(apply_linear(q_latent, w.q_up).unflatten(-1, {H, nope + rope_dim}), context);
  if (context.cache) {
    Tensor fresh = at::cat({kv_latent, rotated.squeeze(2)}, -1);
    if (kept) fresh = keep_halted(context, kept->a, fresh);
    const Tensor cached = context.cache->append(slot, fresh).first;
    const bool one_sequence = !context.places.defined() || cached.size(0) == 1;
    if (q.size(1) <= kAbsorbedTokens && one_sequence) {
      return apply_linear(absorbed(config, w, q, cached, context), w.wo);
    }
    kv_latent = cached.narrow(2, 0, config.kv_lora_rank);
    rotated = cached.narrow(2, config.kv_lora_rank, rope_dim).unsqueeze(2);
  } else if (kept && !context.skips) {
    kv_latent = keep_halted(context, kept->a, kv_latent);
    rotated = keep_halted(context, kept->b, rotated);
  }
  const auto kv = apply_linear(kv_latent, w.kv_up)
                      .unflatten(-1, {H, nope + config.v_head_dim})
                      .split_with_sizes({nope, config.v_head_dim}, -1);
  Tensor k = at::cat({kv[0], rotated.expand({-1, -1, H, -1})}, -1), v = kv[1];
  if (kept && context.skips && !context.cache) {
    k = keep_halted(context, kept->a, k);
    v = keep_halted(context, kept->b, v);
  }
  return apply_linear(attend(q, k, v, context).flatten(2), w.wo);
}

}  // namespace

AttentionContext attention_context(const ModelConfig& config, int64_t length, KvCache* cache,
                                   at::Device device) {
  const int64_t past = cache ? cache->length() : 0;
  AttentionContext context;
  std::tie(context.cos, context.sin) =
      rope_table(past, length, config.rope_dim(), config.rope_theta, device);
  context.cache = cache;
  return context;
}

AttentionContext counting_context(const AttentionContext& context, const Tensor& running) {
  AttentionContext some = context;
  some.counted = context.counted.defined() ? context.counted.logical_and(running) : running;
  return some;
}

AttentionContext loop_context(const AttentionContext& context, const Tensor& running) {
  AttentionContext some = counting_context(context, running);
  if (!context.skips) {
    some.running = running;
    return some;
  }
  some.places = running.flatten().nonzero().squeeze(1);
  if (some.places.numel() == running.numel()) return context;
  const Tensor position = some.places.remainder(running.size(1));
  some.cos = context.cos.index_select(0, position);
  some.sin = context.sin.index_select(0, position);
  if (context.document_begins.defined()) {
    some.document_begins = context.document_begins.flatten().index_select(0, some.places);
  }
  some.counted = some.counted.flatten().index_select(0, some.places).unsqueeze(0);
  const int64_t past = context.cache ? context.cache->length() : 0;
  some.rows.position = (position + past).to(at::kInt);
  const Tensor ends = running.sum(1).cumsum(0).to(at::kCPU);  // [B] int64
  some.rows.begins = {0};
  some.rows.begins.insert(some.rows.begins.end(), ends.data_ptr<int64_t>(),
                          ends.data_ptr<int64_t>() + ends.numel());
  return some;
}

Tensor attention(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                 const AttentionContext& context, int64_t slot, KeptKeys* kept) {
  return config.attention == Attention::mla ? latent(config, w.mla, x, context, slot, kept)
                                            : grouped_query(config, w.gqa, x, context, slot, kept);
}

}  // namespace mythos
