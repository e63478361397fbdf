#pragma once
#include <array>
#include <vector>

#include "model/cross_loop.h"
#include "ops/linear/row_products.h"

namespace mythos {

// What CrossLoopCoder does, for single tokens of one sequence on the CPU, whose rows of floats come
// from threads of a team.
class CrossLoopRows {
 public:
  CrossLoopRows(const ModelConfig& config, const CrossLoopBasis& basis);

  // Makes room for `tokens` tokens in all, of which those from `first` on are still in their loops.
  void reserve(int64_t first, int64_t tokens);
  // Keys and values of a token, first or a later one, as KvCache::store() is given them.
  void store(const CacheSlot& slot, int64_t token, const float* a, const float* b);
  // KvCache::attend(). Those before `first` by their coordinates, a unit's R columns in each of
  // `parts`: keys, and with gqa values.
  void attend(const CacheSlot& slot, int64_t unit, const float* q, int64_t heads, int64_t tokens,
              const std::array<cpu::CachedRows, 2>& parts, float* out, float* work) const;
  // The token has run so many loops: what it left of the last one is that of the others too.
  // Returns the coordinates [U·R] of a part, which stand until the thread asks for others.
  const float* settle(int64_t layer, size_t part, int64_t token, int64_t loops_run);

 private:
  // A token's numbers of a slot: a, then b, U·W each.
  float* exact(int64_t layer, int64_t loop, int64_t token) {
    return tokens_.data() + offset(layer, loop, token);
  }
  const float* exact(int64_t layer, int64_t loop, int64_t token) const {
    return tokens_.data() + offset(layer, loop, token);
  }
  size_t offset(int64_t layer, int64_t loop, int64_t token) const {
    return static_cast<size_t>(((layer * loops_ + loop) * room_ + token - first_) * numbers_);
  }
  const float* basis(int64_t layer, size_t part, int64_t unit) const;
  // Keys (part 0) or values of tokens 0 … tokens-1 of a unit, [tokens,W].
  void rebuild(const CacheSlot& slot, size_t part, int64_t unit, int64_t tokens,
               const cpu::CachedRows& coordinates, float* to) const;

  CrossLoopShape shape_;
  int64_t loops_, rank_, latent_, numbers_;  // latent_: channels of W that are values too (mla)
  int64_t rope_dim_;
  double theta_;
  RopePairing pairing_;
  std::vector<std::array<at::Tensor, 2>> basis_;
  at::Tensor cos_, sin_, back_;  // [tokens,rope_dim/2]; back_ = −sin
  int64_t first_ = 0, room_ = 0;
  std::vector<float> tokens_;  // [core layer, loop, token from first_ on, numbers_]
};

}  // namespace mythos
