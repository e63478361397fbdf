#pragma once
#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "config/decode_config.h"
#include "config/model_config.h"

namespace mythos {

// Keys and values of the tokens seen so far. A slot for each prelude layer, loop × core layer and
// coda layer, in that order; sharing leaves one slot per core layer. Storage is allocated ahead and
// doubled when full.
class KvCache {
 public:
  // One of the two things that a slot stores of each token.
  struct Store {
    at::Tensor numbers;  // [B,capacity,width] fp32, bf16 or int8
    at::Tensor scales;   // int8: [B,capacity,groups] fp32; groups of widths() share a scale
  };
  // mla: `a` is the normalised latent and the shared rotated key side by side, width
  // kv_lora_rank+rope, and `b` is undefined. gqa: rotated keys and values, width K·head_dim each.
  struct Slot {
    Store a, b;
  };

  KvCache(const ModelConfig& config, int64_t loops, int64_t batch, int64_t capacity_tokens,
          at::Device device, at::ScalarType compute_type, const CacheOptions& options = {});

  int64_t loops() const { return loops_; }
  CacheSharing sharing() const { return sharing_; }
  // Tokens stored in every slot.
  int64_t length() const { return length_; }
  // Tokens that there is room for.
  int64_t capacity() const { return slots_.front().a.numbers.size(1); }

  // Writes a [B,S,...] and b (undefined for mla) behind the length() tokens of the slot and returns
  // everything that its queries attend to, [B,length+S,...] in the compute type: views where it is
  // stored in that type. length() itself moves with advance().
  std::pair<at::Tensor, at::Tensor> append(int64_t slot, const at::Tensor& a,
                                           const at::Tensor& b = {});
  // After every slot has taken the same S tokens.
  void advance(int64_t tokens);
  // Forgets all but the first `tokens` tokens.
  void truncate(int64_t tokens) { length_ = tokens; }
  // Makes room for `tokens` tokens in all.
  void reserve(int64_t tokens);

  int64_t size_bytes() const;
  // Bytes that one token takes in all slots.
  int64_t bytes_per_token() const;

  int64_t prelude_slot(int64_t layer) const { return layer; }
  int64_t core_slot(int64_t loop, int64_t layer) const {
    return prelude_ + (sharing_ == CacheSharing::per_loop ? loop * core_ : 0) + layer;
  }
  int64_t coda_slot(int64_t layer) const {
    return prelude_ + (sharing_ == CacheSharing::per_loop ? loops_ : 1) * core_ + layer;
  }
  // For code that reads and writes tokens itself, after reserve(): the layout is as above.
  Slot& slot(int64_t index) { return slots_[static_cast<size_t>(index)]; }
  // Widths of the parts of Store a (or b) that share an int8 scale.
  const std::vector<int64_t>& widths() const { return widths_; }

 private:
  // Sum over the loops of the tokens being appended, for CacheSharing::average.
  struct Sum {
    at::Tensor a, b;
    int64_t loops = 0;
  };
  bool is_core(int64_t slot) const { return slot >= prelude_ && slot < coda_slot(0); }
  at::Tensor put(Store& store, int64_t begin, const at::Tensor& value);

  int64_t prelude_, core_, loops_, length_ = 0;
  CacheSharing sharing_;
  at::ScalarType compute_type_;
  std::vector<int64_t> widths_;
  std::vector<Slot> slots_;
  std::vector<Sum> sums_;  // of each core layer
};

}  // namespace mythos
