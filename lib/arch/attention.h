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
    f(self.down, {"down.weight", {q + kv + c.qk_rope_head_dim, D}});
    f(self.q_norm, {"q_norm.weight", {q}, Use::vector, Init::ones});
    f(self.q_up, {"q_up.weight", {H * c.qk_head_dim(), q}});
    f(self.kv_norm, {"kv_norm.weight", {kv}, Use::vector, Init::ones});
    f(self.kv_up,
      {"kv_up.weight", {H * (c.qk_nope_head_dim + c.v_head_dim), kv}, Use::exact_product});
    f(self.wo, {"wo.weight", {D, H * c.v_head_dim}});
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
    f(self.qkv, {"qkv.weight", {(c.n_heads + 2 * c.n_kv_heads) * d, D}});
    if (c.qk_norm) {
      f(self.q_norm, {"q_norm.weight", {d}, Use::vector, Init::ones});
      f(self.k_norm, {"k_norm.weight", {d}, Use::vector, Init::ones});
    }
    f(self.wo, {"wo.weight", {D, c.n_heads * d}});
  }
};

// Bytes of one token that attention keeps for its backward pass, and what that pass holds beside
// them; `c` is the size of a number in the compute type.
Whole attention_kept(const ModelConfig& config, int64_t c);
Whole attention_work(const ModelConfig& config, int64_t c);

}  // namespace mythos
