#include "model/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mythos {
namespace {

using at::Tensor;

at::ScalarType storage_type(CacheType type, at::ScalarType compute_type) {
  switch (type) {
    case CacheType::fp32:
      return at::kFloat;
    case CacheType::bf16:
      return at::kBFloat16;
    case CacheType::int8:
      return at::kChar;
    case CacheType::automatic:
      break;
  }
  return compute_type;
}

Tensor enlarged(const Tensor& store, int64_t capacity, int64_t length) {
  if (!store.defined()) return store;
  const Tensor larger = at::empty({store.size(0), capacity, store.size(2)}, store.options());
  larger.narrow(1, 0, length).copy_(store.narrow(1, 0, length));
  return larger;
}

int64_t bytes_of(const KvCache::Store& store) {
  const auto bytes = [](const Tensor& t) {
    return t.defined() ? static_cast<int64_t>(t.nbytes()) : 0;
  };
  return bytes(store.numbers) + bytes(store.scales);
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, int64_t loops, int64_t batch, int64_t capacity_tokens,
                 at::Device device, at::ScalarType compute_type, const CacheOptions& options)
    : prelude_(config.prelude_layers),
      core_(config.core_layers),
      loops_(loops),
      sharing_(options.sharing),
      compute_type_(compute_type) {
  const bool mla = config.attention == Attention::mla;
  if (mla) {
    widths_ = {config.kv_lora_rank, config.qk_rope_head_dim};
  } else {
    widths_.assign(static_cast<size_t>(config.n_kv_heads), config.head_dim());
  }
  int64_t width = 0;
  for (const int64_t part : widths_) width += part;
  const auto type = storage_type(options.type, compute_type);
  const auto tensors = at::TensorOptions().dtype(type).device(device);
  const int64_t capacity = std::max<int64_t>(capacity_tokens, 1);
  const auto make = [&] {
    Store store{at::empty({batch, capacity, width}, tensors), {}};
    if (type == at::kChar) {
      store.scales = at::empty({batch, capacity, static_cast<int64_t>(widths_.size())},
                               tensors.dtype(at::kFloat));
    }
    return store;
  };
  slots_.resize(static_cast<size_t>(coda_slot(0) + config.coda_layers));
  for (Slot& slot : slots_) {
    slot.a = make();
    if (!mla) slot.b = make();
  }
  if (sharing_ == CacheSharing::average) sums_.resize(static_cast<size_t>(core_));
}

void KvCache::reserve(int64_t tokens) {
  if (tokens <= capacity()) return;
  const int64_t larger = std::max(tokens, 2 * capacity());
  for (Slot& slot : slots_) {
    for (Store* store : {&slot.a, &slot.b}) {
      store->numbers = enlarged(store->numbers, larger, length_);
      store->scales = enlarged(store->scales, larger, length_);
    }
  }
}

// Writes value [B,S,...] at the tokens from `begin` on; returns tokens 0 … begin+S-1 in value's
// shape and the compute type.
Tensor KvCache::put(Store& store, int64_t begin, const Tensor& value) {
  const int64_t count = value.size(1), end = begin + count;
  std::vector<int64_t> shape = value.sizes().vec();
  shape[1] = end;
  const Tensor rows = value.reshape({value.size(0), count, -1});
  const Tensor to = store.numbers.narrow(1, begin, count);
  if (!store.scales.defined()) {
    to.copy_(rows);
    return store.numbers.narrow(1, 0, end).to(compute_type_).view(shape);
  }
  std::vector<Tensor> all;
  for (int64_t first = 0, group = 0; group < static_cast<int64_t>(widths_.size()); ++group) {
    const int64_t width = widths_[static_cast<size_t>(group)];
    const Tensor part = rows.narrow(2, first, width).to(at::kFloat);
    const Tensor scale = part.abs().amax(2, true).clamp_min(1e-30) / 127.0;
    store.scales.narrow(1, begin, count).narrow(2, group, 1).copy_(scale);
    to.narrow(2, first, width).copy_((part / scale).round());
    all.push_back(store.numbers.narrow(1, 0, end).narrow(2, first, width) *
                  store.scales.narrow(1, 0, end).narrow(2, group, 1));
    first += width;
  }
  return at::cat(all, 2).to(compute_type_).view(shape);
}

std::pair<Tensor, Tensor> KvCache::append(int64_t slot, const Tensor& a, const Tensor& b) {
  reserve(length_ + a.size(1));
  if (sharing_ == CacheSharing::average && is_core(slot)) {
    Sum& sum = sums_[static_cast<size_t>(slot - prelude_)];
    const auto add = [&](Tensor& to, const Tensor& value) {
      if (!value.defined()) return;
      const Tensor wide = value.to(at::kFloat);
      to = sum.loops == 0 ? wide.clone() : to + wide;
    };
    add(sum.a, a);
    add(sum.b, b);
    ++sum.loops;
  }
  Slot& to = this->slot(slot);
  const Tensor all = put(to.a, length_, a);
  return {all, b.defined() ? put(to.b, length_, b) : Tensor()};
}

void KvCache::advance(int64_t tokens) {
  for (size_t layer = 0; layer < sums_.size(); ++layer) {
    Sum& sum = sums_[layer];
    if (sum.loops == 0) continue;
    Slot& slot = slots_[static_cast<size_t>(prelude_) + layer];
    put(slot.a, length_, sum.a / static_cast<double>(sum.loops));
    if (sum.b.defined()) put(slot.b, length_, sum.b / static_cast<double>(sum.loops));
    sum = {};
  }
  length_ += tokens;
}

int64_t KvCache::size_bytes() const {
  int64_t total = 0;
  for (const Slot& slot : slots_) total += bytes_of(slot.a) + bytes_of(slot.b);
  return total;
}

int64_t KvCache::bytes_per_token() const {
  const Tensor& any = slots_.front().a.numbers;
  return size_bytes() / (any.size(0) * capacity());
}

}  // namespace mythos
