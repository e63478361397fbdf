#include "nn/kv_cache.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace mythos {

KvCache::KvCache(const ModelConfig& config, int64_t loops, int64_t batch, int64_t capacity_tokens,
                 torch::Device device, torch::Dtype dtype)
    : prelude_(config.prelude_layers), core_(config.core_layers), loops_(loops) {
  const auto options = torch::TensorOptions().dtype(dtype).device(device);
  const int64_t capacity = std::max<int64_t>(capacity_tokens, 1);
  slots_.resize(static_cast<size_t>(prelude_ + loops_ * core_ + config.coda_layers));
  for (Slot& slot : slots_) {
    if (config.attention == Attention::mla) {
      slot.a = at::empty({batch, capacity, config.kv_lora_rank + config.qk_rope_head_dim}, options);
    } else {
      slot.a = at::empty({batch, capacity, config.n_kv_heads, config.head_dim()}, options);
      slot.b = at::empty_like(slot.a);
    }
  }
}

namespace {

// Writes `value` behind the first `length` tokens of `store`, growing it when it is full.
torch::Tensor put(torch::Tensor& store, int64_t length, const torch::Tensor& value) {
  const int64_t end = length + value.size(1);
  if (end > store.size(1)) {
    std::vector<int64_t> sizes = store.sizes().vec();
    sizes[1] = std::max(end, 2 * sizes[1]);
    const torch::Tensor larger = at::empty(sizes, store.options());
    larger.narrow(1, 0, length).copy_(store.narrow(1, 0, length));
    store = larger;
  }
  store.narrow(1, length, value.size(1)).copy_(value);
  return store.narrow(1, 0, end);
}

}  // namespace

std::pair<torch::Tensor, torch::Tensor> KvCache::append(int64_t slot, const torch::Tensor& a,
                                                        const torch::Tensor& b) {
  Slot& to = slots_[static_cast<size_t>(slot)];
  const torch::Tensor all_a = put(to.a, length_, a);
  return {all_a, b.defined() ? put(to.b, length_, b) : torch::Tensor()};
}

int64_t KvCache::size_bytes() const {
  int64_t total = 0;
  for (const Slot& slot : slots_) {
    total += static_cast<int64_t>(slot.a.nbytes());
    if (slot.b.defined()) total += static_cast<int64_t>(slot.b.nbytes());
  }
  return total;
}

}  // namespace mythos
