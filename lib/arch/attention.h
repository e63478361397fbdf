#pragma once
#include "arch/declaration.h"
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
  M qkv;             // [(H+2K)·head_dim, D]
  T q_norm, k_norm;  // [head_dim], with qk_norm
  M wo;              // [D,D]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const int64_t D = c.dim, d = c.head_dim();
    f(self.qkv, {.name = "qkv.weight",
                 .shape = {(c.n_heads + 2 * c.n_kv_heads) * d, D},
                 .parts = {c.n_heads * d, c.n_kv_heads * d, c.n_kv_heads * d}});
    if (c.qk_norm) {
      f(self.q_norm, {"q_norm.weight", {d}, Use::vector, Init::ones});
      f(self.k_norm, {"k_norm.weight", {d}, Use::vector, Init::ones});
    }
    f(self.wo, {.name = "wo.weight", .shape = {D, c.n_heads * d}, .writes_residual = true});
  }
};

// Bytes of one token that attention keeps for its backward pass, and what that pass holds beside
// them; `c` is the size of a number in the compute type.
Whole attention_kept(const ModelConfig& config, int64_t c);
Whole attention_work(const ModelConfig& config, int64_t c);

}  // namespace mythos
