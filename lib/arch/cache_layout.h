#pragma once
#include <cstdint>
#include <numeric>
#include <vector>

#include "arch/section.h"

namespace mythos {

// What a layer of a section keeps of each token for later ones, stated once: `a` and `b` are rows
// of numbers in groups, whose widths stand here; with int8 each group has an fp32 scale of its own.
// mla: a is the normalised latent (width kv_lora_rank) and the rotated key that all heads share, b
// is nothing. gqa: a and b are the rotated keys and the values, a group for each key head.
struct CacheLayout {
  std::vector<int64_t> a, b;

  CacheLayout(const ModelConfig& c, Section section) {
    if (c.attention == Attention::mla) {
      a = {c.kv_lora_rank, c.qk_rope_head_dim};
    } else {
      a.assign(static_cast<size_t>(key_heads_of(c, section)), c.head_dim());
      b = a;
    }
  }
  int64_t width_a() const { return std::accumulate(a.begin(), a.end(), int64_t{0}); }
  int64_t width_b() const { return std::accumulate(b.begin(), b.end(), int64_t{0}); }
  int64_t numbers() const { return width_a() + width_b(); }
  int64_t scales() const { return static_cast<int64_t>(a.size() + b.size()); }
};

}  // namespace mythos
