#pragma once
#include <cstdint>

#include "config/model_config.h"

namespace mythos {

// The three sections of a model, in the order of the forward pass.
enum class Section { prelude, core, coda };

// One layer: its section, and its number within that.
struct LayerId {
  Section section = Section::core;
  int64_t index = 0;
};

inline FeedForward feed_forward_of(const ModelConfig& c, Section section) {
  return section == Section::core ? c.ffn : FeedForward::dense;
}

// Hidden width of a section's dense layers.
inline int64_t ffn_width_of(const ModelConfig& c, Section section) {
  return section == Section::core ? c.core_dense_ffn_dim() : c.dense_ffn_dim();
}

// Key/value heads of a section's layers (gqa).
inline int64_t key_heads_of(const ModelConfig& c, Section section) {
  return section == Section::core ? c.core_key_heads() : c.n_kv_heads;
}

// Whether token embeddings are added to the layer's values: model.value_embeddings counts layers
// over prelude, core and coda.
bool has_value_embedding(const ModelConfig& config, const LayerId& layer);

// Channels of the layer's input that the gate of its value embeddings reads (Parcae).
inline int64_t value_gate_channels(const ModelConfig& c) {
  return c.dim < 32 ? c.dim : 32;
}

}  // namespace mythos
