#pragma once
#include <torch/types.h>

#include <utility>
#include <vector>

#include "config/model_config.h"

namespace mythos {

// Keys and values of the tokens seen so far: one slot per prelude layer, loop index × core layer
// and coda layer, in that order. MLA keeps the normalised latent and the shared rotated key side by
// side, [B,capacity,kv_lora_rank+rope]; GQA keeps rotated keys and values, [B,capacity,K,head_dim]
// each. Storage is allocated ahead and doubled when full.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t loops, int64_t batch, int64_t capacity_tokens,
          torch::Device device, torch::Dtype dtype);

  int64_t loops() const { return loops_; }
  // Tokens stored in every slot.
  int64_t length() const { return length_; }

  // Writes a [B,S,...] and b (undefined for MLA) behind the length() tokens of the slot and returns
  // views of everything stored there, [B,length+S,...]. length() itself moves with advance().
  std::pair<torch::Tensor, torch::Tensor> append(int64_t slot, const torch::Tensor& a,
                                                 const torch::Tensor& b = {});
  // After every slot has taken the same S tokens.
  void advance(int64_t tokens) { length_ += tokens; }
  // Forgets all but the first `tokens` tokens.
  void truncate(int64_t tokens) { length_ = tokens; }

  int64_t size_bytes() const;

  int64_t prelude_slot(int64_t layer) const { return layer; }
  int64_t core_slot(int64_t loop, int64_t layer) const { return prelude_ + loop * core_ + layer; }
  int64_t coda_slot(int64_t layer) const { return prelude_ + loops_ * core_ + layer; }

 private:
  struct Slot {
    torch::Tensor a, b;  // [B,capacity,...]
  };

  int64_t prelude_, core_, loops_, length_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace mythos
