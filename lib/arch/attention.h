#pragma once
#include "arch/declaration.h"
#include "arch/section.h"
#include "base/whole.h"

namespace mythos {

// Multi-head latent attention (DeepSeek-V2, 2024).
template <class T, class M>
struct LatentAttentionTensors {
  M down;     // [q_lora_rank+kv_lora_rank+rope, D]: query latent, key/value latent, rotated key
  T q_norm;   // [q_lora_rank]
  M q_up;     // [H·(nope+rope), q_lora_rank], per head nope then rope
  T kv_norm;  // [kv_lora_rank]
  T kv_up;    // [H·(nope+v), kv_lora_rank]; folded into query and output while decoding
  M wo;       // [D, H·v]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const int64_t D = c.dim, H = c.n_heads, q = c.q_lora_rank, kv = c.kv_lora_rank;
    f(self.down, {.name = "down.weight",
                  .shape = {q + kv + c.qk_rope_head_dim, D},
                  .parts = {q, kv, c.qk_rope_head_dim}});
    f(self.q_norm, {"q_norm.weight", {q}, Use::vector, Init::ones});
    f(self.q_up, {.name = "q_up.weight",
                  .shape = {H * c.qk_head_dim(), q},
                  .parts = {c.qk_nope_head_dim, c.qk_rope_head_dim}});
    f(self.kv_norm, {"kv_norm.weight", {kv}, Use::vector, Init::ones});
    f(self.kv_up, {.name = "kv_up.weight",
                   .shape = {H * (c.qk_nope_head_dim + c.v_head_dim), kv},
                   .use = Use::exact_product,
                   .parts = {c.qk_nope_head_dim, c.v_head_dim}});
    f(self.wo, {.name = "wo.weight", .shape = {D, H * c.v_head_dim}, .writes_residual = true});
  }
};

// Grouped-query attention (Ainslie et al. 2023).
template <class T, class M>
struct GroupedAttentionTensors {
  M qkv;                     // [(H+2K)·head_dim, D]
  T q_bias, k_bias, v_bias;  // [H·head_dim], [K·head_dim], [K·head_dim]
  T q_norm, k_norm;          // [head_dim], with qk_norm_weight
  M wo;                      // [D, H·head_dim]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, Section section, F&& f) {
    const int64_t D = c.dim, d = c.head_dim(), queries = c.n_heads * d;
    const int64_t keys = key_heads_of(c, section) * d;
    f(self.qkv,
      {.name = "qkv.weight", .shape = {queries + 2 * keys, D}, .parts = {queries, keys, keys}});
    if (c.attention_bias != AttentionBias::none) {
      f(self.q_bias, {"q_bias", {queries}, Use::vector, Init::zeros});
      f(self.k_bias, {"k_bias", {keys}, Use::vector, Init::zeros});
    }
    if (c.attention_bias == AttentionBias::qkv) {
      f(self.v_bias, {"v_bias", {keys}, Use::vector, Init::zeros});
    }
    if (c.qk_norm && c.qk_norm_weight) {
      f(self.q_norm, {"q_norm.weight", {d}, Use::vector, Init::ones});
      f(self.k_norm, {"k_norm.weight", {d}, Use::vector, Init::ones});
    }
    f(self.wo, {.name = "wo.weight", .shape = {D, queries}, .writes_residual = true});
  }
};

// Bytes of one token that a layer's attention keeps for its backward pass, and what that pass holds
// beside them; `c` is the size of a number in the compute type.
Whole attention_kept(const ModelConfig& config, const LayerId& layer, int64_t c);
Whole attention_work(const ModelConfig& config, const LayerId& layer, int64_t c);

}  // namespace mythos
