#pragma once
#include "nn/kv_cache.h"
#include "nn/weights.h"

namespace mythos {

// What the layers of one forward pass share.
struct AttentionContext {
  Tensor cos, sin;           // rotary table of these S positions, [S, rope/2]
  KvCache* cache = nullptr;  // null: the S tokens are the whole sequence
  Tensor document_begins;    // as in ForwardOptions
};

// For `length` new tokens behind those in the cache.
AttentionContext attention_context(const ModelConfig& config, int64_t length, KvCache* cache,
                                   torch::Device device);

// Causal self-attention: grouped-query (Ainslie et al. 2023) or multi-head latent (DeepSeek-V2,
// 2024). x [B,S,D] in the compute type → [B,S,D]; `slot` is the layer's place in the cache.
Tensor attention(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                 const AttentionContext& context, int64_t slot);

}  // namespace mythos
