#pragma once
#include "model/kv_cache.h"
#include "model/weights.h"
#include "ops/attention/attention.h"

namespace mythos {

// What the layers of one forward pass share.
struct AttentionContext {
  Tensor cos, sin;           // rotary table of these S positions, [S, rope/2]
  KvCache* cache = nullptr;  // null: the S tokens are the whole sequence
  Tensor document_begins;    // as in ForwardOptions
  bool last_query = false;   // only the last position's result is wanted
  // Positions whose experts are counted, bool of the shape that the layers see ([B,S] or [1,N]).
  // Undefined: all.
  Tensor counted;
  bool recompute = false;  // each block is computed again in the backward pass
  // Where positions have halted: either all are computed and `running`, [B,S] bool, tells the
  // others, or x is [1,N,D] and holds the `rows` that run only, which have the indices `places`,
  // [N] int64, among the B·S positions. Then cos, sin and document_begins are those of the rows.
  Tensor running;
  Tensor places;
  PackedRows rows;
  bool skips = false;  // the second way
};

// Of x [B,S,...] the last position, [B,1,...].
inline Tensor last_row(const Tensor& x) {
  return x.narrow(1, x.size(1) - 1, 1);
}
// Of x [B,S,...] the positions whose results are wanted.
inline Tensor queried(const Tensor& x, const AttentionContext& context) {
  return context.last_query ? last_row(x) : x;
}

// The keys and values of a core layer for the S tokens of a pass, kept from one loop to the next:
// a position that has halted keeps those of the loop in which it halted. MLA keeps the latent and
// the rotated key, [B,S,rank] and [B,S,1,rope], side by side in `a` when there is a cache; where
// halted positions are skipped without one, keys and values.
struct KeptKeys {
  Tensor a, b;
};

// For `length` new tokens behind those in the cache.
AttentionContext attention_context(const ModelConfig& config, int64_t length, KvCache* cache,
                                   at::Device device);

// The context of a loop that only some positions run, [B,S] bool; the others are not counted.
AttentionContext loop_context(const AttentionContext& context, const Tensor& running);
// The same where the others are computed all the same.
AttentionContext counting_context(const AttentionContext& context, const Tensor& running);

// Causal self-attention: grouped-query (Ainslie et al. 2023) or multi-head latent (DeepSeek-V2,
// 2024). x [B,S,D] in the compute type → [B,S,D]; `slot` is the layer's place in the cache. Where
// positions may halt, `kept` holds the keys of the loop before and takes those of this one.
// With last_query the result is [B,1,D].
Tensor attention(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                 const AttentionContext& context, int64_t slot, KeptKeys* kept = nullptr);

}  // namespace mythos
