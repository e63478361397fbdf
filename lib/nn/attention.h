#pragma once
#include "nn/kv_cache.h"
#include "nn/weights.h"

namespace mythos {

// What the layers of one forward pass share.
struct AttentionContext {
  Tensor cos, sin;           // rotary table of these S positions, [S, rope/2]
  KvCache* cache = nullptr;  // null: the S tokens are the whole sequence
  Tensor document_begins;    // as in ForwardOptions
  Tensor running;            // [B,S] bool: positions that have not halted; undefined: none has
};

// The keys and values of a core layer for the S tokens of a pass, kept from one loop to the next:
// a position that has halted keeps those of the loop in which it halted. MLA keeps the latent and
// the rotated key, [B,S,rank] and [B,S,1,rope], side by side in `a` when there is a cache.
struct KeptKeys {
  Tensor a, b;
};

// For `length` new tokens behind those in the cache.
AttentionContext attention_context(const ModelConfig& config, int64_t length, KvCache* cache,
                                   torch::Device device);

// Causal self-attention: grouped-query (Ainslie et al. 2023) or multi-head latent (DeepSeek-V2,
// 2024). x [B,S,D] in the compute type → [B,S,D]; `slot` is the layer's place in the cache. Where
// positions may halt, `kept` holds the keys of the loop before and takes those of this one.
Tensor attention(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                 const AttentionContext& context, int64_t slot, KeptKeys* kept = nullptr);

}  // namespace mythos
