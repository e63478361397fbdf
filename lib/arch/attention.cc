#include "arch/attention.h"

namespace mythos {

// Normalised input; queries, keys and values as attention reads them, with what they are views of;
// the heads' output. In fp32: a number for each norm and for each head's softmax.
Whole attention_kept(const ModelConfig& config, int64_t c) {
  const Whole D = config.dim, H = config.n_heads, K = config.n_kv_heads, d = config.qk_head_dim();
  const Whole output = H * config.value_head_dim();
  if (config.attention == Attention::gqa) {
    const Whole qkv = (H + 2 * K) * d, rotated = (H + K) * d;
    const Whole norms = 1 + (config.qk_norm ? H + K : Whole(0));
    return (D + qkv + rotated + output) * c + (H + norms) * kFloatBytes;
  }
  const Whole latents = Whole(config.q_lora_rank) + config.kv_lora_rank;
  const Whole expanded = H * (Whole(config.qk_nope_head_dim) + config.v_head_dim);
  return (D + 2 * latents + config.qk_rope_head_dim + 2 * H * d + expanded + output) * c +
         (H + 3) * kFloatBytes;
}

// Gradients of the sum, of the heads' output, of queries, keys and values.
Whole attention_work(const ModelConfig& config, int64_t c) {
  const Whole H = config.n_heads, d = config.qk_head_dim();
  const Whole keys = config.attention == Attention::gqa ? Whole(config.n_kv_heads) : H;
  return (config.dim + H * d + keys * (d + config.value_head_dim())) * c;
}

}  // namespace mythos
