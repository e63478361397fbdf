#include "arch/attention.h"

namespace mythos {

// Normalised input; queries, keys and values as attention reads them, with what they are views of;
// the heads' output. In fp32: a number for each norm and for each head's softmax.
// A value embedding keeps the gate's input and numbers in fp32, and the table's row.
Whole attention_kept(const ModelConfig& config, const LayerId& layer, int64_t c) {
  const Whole D = config.dim, H = config.n_heads, d = config.qk_head_dim();
  const Whole K = key_heads_of(config, layer.section);
  const Whole output = H * config.value_head_dim();
  if (config.attention == Attention::gqa) {
    // The product as long as a part of it is read, and copies of parts that something was added to.
    const bool biased = config.attention_bias != AttentionBias::none;
    const bool embedded = has_value_embedding(config, layer);
    const bool new_values = embedded || config.attention_bias == AttentionBias::qkv;
    const Whole rotated = (H + K) * d;
    Whole qkv = 0;
    if (!new_values || (config.qk_norm && !biased)) qkv += (H + 2 * K) * d;
    if (new_values) qkv += K * d;
    if (config.qk_norm && biased) qkv += rotated;
    const Whole norms = 1 + (config.qk_norm ? H + K : Whole(0));
    Whole values = 0;
    if (embedded) values = (value_gate_channels(config) + 2 * K) * kFloatBytes + K * d * c;
    return (D + qkv + rotated + output) * c + (H + norms) * kFloatBytes + values;
  }
  const Whole latents = Whole(config.q_lora_rank) + config.kv_lora_rank;
  const Whole expanded = H * (Whole(config.qk_nope_head_dim) + config.v_head_dim);
  return (D + 2 * latents + config.qk_rope_head_dim + 2 * H * d + expanded + output) * c +
         (H + 3) * kFloatBytes;
}

// Gradients of the sum, of the heads' output, of queries, keys and values.
Whole attention_work(const ModelConfig& config, const LayerId& layer, int64_t c) {
  const Whole H = config.n_heads, d = config.qk_head_dim();
  const Whole keys =
      config.attention == Attention::gqa ? Whole(key_heads_of(config, layer.section)) : H;
  return (config.dim + H * d + keys * (d + config.value_head_dim())) * c;
}

}  // namespace mythos
