#include <algorithm>
#include <cmath>
#include <numeric>

#include "infer/engine/native_step.h"

// The layers of a native decode step: attention and feed-forward.
namespace mythos {

cpu::CachedRows cached_rows(const KvCache::Store& store, int64_t first, int64_t width,
                            int64_t group, int64_t split) {
  using Kind = cpu::CachedRows::Kind;
  cpu::CachedRows rows;
  rows.numbers = static_cast<const char*>(store.numbers.data_ptr());
  rows.stride = store.numbers.size(2);
  rows.first = first;
  rows.width = width;
  rows.group = group;
  rows.split = split;
  rows.kind = store.numbers.scalar_type() == at::kFloat ? Kind::fp32 : Kind::bf16;
  if (store.scales.defined()) {
    rows.kind = Kind::int8;
    rows.scales = store.scales.data_ptr<float>();
    rows.groups = store.scales.size(2);
  }
  return rows;
}

NativeStep::Pointers NativeStep::lines(const FloatRows& from) const {
  Pointers out{};
  for (size_t i = 0; i < lane_.active.size(); ++i) out[i] = from[lane_.active[i]];
  return out;
}

NativeStep::Targets NativeStep::lines(FloatRows& to) const {
  Targets out{};
  for (size_t i = 0; i < lane_.active.size(); ++i) out[i] = to[lane_.active[i]];
  return out;
}

KvCache::Slot& NativeStep::slot(int64_t row, const Place& place) const {
  KvCache& to = cache(row);
  switch (place.part) {
    case Place::prelude:
      return to.slot(to.prelude_slot(place.layer));
    case Place::core:
      return to.slot(to.core_slot(place.loop, place.layer));
    case Place::coda:
      break;
  }
  return to.slot(to.coda_slot(place.layer));
}

void NativeStep::product(const cpu::RowMatrix& w, const FloatRows& from, FloatRows& to) {
  const auto [begin, end] = member_.share(w.rows, 4);
  cpu::row_products(w, begin, end, lines(from).data(), active(), lines(to).data());
}

void NativeStep::gated_product(const cpu::RowMatrix& w, const float* const* from, int64_t count,
                               float* const* to) {
  const int64_t width = w.rows / 2;
  const auto [begin, end] = member_.share(width, 16);
  cpu::row_products(w, begin, end, from, count, to);
  Targets up{};
  for (int64_t i = 0; i < count; ++i) up[static_cast<size_t>(i)] = lane_.part[i] - width;
  cpu::row_products(w, width + begin, width + end, from, count, up.data());
  for (int64_t i = 0; i < count; ++i) {
    cpu::swiglu_row(to[i] + begin, lane_.part[i] + begin, end - begin);
  }
}

// x += attention(norm x); x += feed_forward(norm x).
void NativeStep::layer(const NativeLayer& layer, const Place& place) {
  attention(layer, place);
  feed_forward(layer);
}

void NativeStep::attention(const NativeLayer& layer, const Place& place) {
  const bool mla = c_.attention == Attention::mla;
  for (const int64_t row : lane_.active) {
    cpu::norm_row(lane_.x[row], layer.attn_norm, c_.dim, c_.norm_eps, lane_.normed[row]);
  }
  product(mla ? layer.down : layer.qkv, lane_.normed, shared_.down);
  member_.barrier();
  if (mla) {
    for (const int64_t row : lane_.active) {
      cpu::norm_row(shared_.down[row], layer.q_norm, c_.q_lora_rank, c_.norm_eps,
                    lane_.latent[row]);
    }
    product(layer.q_up, lane_.latent, shared_.q);
  }
  for (const int64_t row : lane_.active) {
    if (mine(row)) store_keys(layer, place, row);
  }
  member_.barrier();
  attention_tasks(layer, place);
  member_.barrier();
  product(layer.wo, shared_.heads, shared_.mixed);
  member_.barrier();
  for (const int64_t row : lane_.active) {
    cpu::add_scaled(lane_.x[row], 1, shared_.mixed[row], c_.dim);
  }
}

// Normalises and rotates the row's new key, and writes it and its value into the row's cache.
void NativeStep::store_keys(const NativeLayer& layer, const Place& place, int64_t row) {
  KvCache& to = cache(row);
  KvCache::Slot& slot = this->slot(row, place);
  const float *cos = m_.cos(position(row)), *sin = m_.sin(position(row));
  float* key = lane_.work.data();
  const float* value = nullptr;
  int64_t width = 0;
  if (c_.attention == Attention::mla) {
    const float* from = shared_.down[row] + c_.q_lora_rank;
    width = c_.kv_lora_rank + c_.qk_rope_head_dim;
    cpu::norm_row(from, layer.kv_norm, c_.kv_lora_rank, c_.norm_eps, key);
    std::copy_n(from + c_.kv_lora_rank, c_.qk_rope_head_dim, key + c_.kv_lora_rank);
    cpu::rope_row(key + c_.kv_lora_rank, cos, sin, c_.qk_rope_head_dim);
  } else {
    const int64_t d = c_.head_dim();
    const float* from = shared_.down[row] + c_.n_heads * d;
    width = c_.n_kv_heads * d;
    value = from + width;
    std::copy_n(from, width, key);
    for (int64_t head = 0; head < c_.n_kv_heads; ++head) {
      float* k = key + head * d;
      if (layer.k_norm) cpu::norm_row(k, layer.k_norm, d, c_.norm_eps, k);
      cpu::rope_row(k, cos, sin, d);
    }
  }
  const auto store = [&](const KvCache::Store& store, const float* from) {
    cpu::store_row(from, cached_rows(store, 0, width, 0, width), to.widths().data(), position(row));
  };
  store(slot.a, key);
  if (value) store(slot.b, value);
  if (to.sharing() != CacheSharing::average || place.part != Place::core) return;
  float* sum = shared_.sums[static_cast<size_t>(place.layer)][row];
  if (place.loop == 0) std::fill(sum, sum + 2 * width, 0.0f);
  cpu::add_scaled(sum, 1, key, width);
  if (value) cpu::add_scaled(sum + width, 1, value, width);
}

// Every row with a group of heads that read the same keys is a task.
void NativeStep::attention_tasks(const NativeLayer& layer, const Place& place) {
  const bool mla = c_.attention == Attention::mla;
  const int64_t spread = active() * c_.n_heads / member_.count();
  const int64_t together = mla ? std::clamp<int64_t>(spread, 1, 8) : 1;
  const int64_t groups = mla ? (c_.n_heads + together - 1) / together : c_.n_kv_heads;
  for (int64_t task = member_.index(); task < active() * groups; task += member_.count()) {
    const int64_t row = lane_.active[static_cast<size_t>(task / groups)];
    const KvCache::Slot& slot = this->slot(row, place);
    if (!mla) {
      grouped_task(layer, slot, row, task % groups);
      continue;
    }
    const int64_t head = task % groups * together;
    latent_task(layer, slot, row, head, std::min(together, c_.n_heads - head));
  }
}

// Scores and values in the latent space: kv_up is folded into queries and output (DeepSeek-V2,
// section 2.1.2), so the cache is never expanded.
void NativeStep::latent_task(const NativeLayer& layer, const KvCache::Slot& slot, int64_t row,
                             int64_t head, int64_t heads) {
  const int64_t rank = c_.kv_lora_rank, nope = c_.qk_nope_head_dim, rope = c_.qk_rope_head_dim;
  const int64_t width = rank + rope, v = c_.v_head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(nope + rope));
  float* q = lane_.work.data();
  float* out = q + heads * width;
  float* work = out + heads * rank;
  for (int64_t i = 0; i < heads; ++i) {
    const int64_t up = (head + i) * (nope + v);
    const float* from = shared_.q[row] + (head + i) * (nope + rope);
    float* to = q + i * width;
    cpu::column_products(layer.kv_up, up, up + nope, from, to);
    std::copy_n(from + nope, rope, to + rank);
    cpu::rope_row(to + rank, m_.cos(position(row)), m_.sin(position(row)), rope);
    for (int64_t c = 0; c < width; ++c) to[c] *= scale;
  }
  cpu::attend(q, heads, cached_rows(slot.a, 0, width, 0, rank),
              cached_rows(slot.a, 0, rank, 0, rank), position(row) + 1, out, work);
  for (int64_t i = 0; i < heads; ++i) {
    const int64_t up = (head + i) * (nope + v) + nope;
    const float* from = out + i * rank;
    float* to = shared_.heads[row] + (head + i) * v - up;
    cpu::row_products(layer.kv_up, up, up + v, &from, 1, &to);
  }
}

void NativeStep::grouped_task(const NativeLayer& layer, const KvCache::Slot& slot, int64_t row,
                              int64_t key_head) {
  const int64_t d = c_.head_dim(), heads = c_.n_heads / c_.n_kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  float* q = lane_.work.data();
  float* work = q + heads * d;
  std::copy_n(shared_.down[row] + key_head * heads * d, heads * d, q);
  for (int64_t i = 0; i < heads; ++i) {
    float* to = q + i * d;
    if (layer.q_norm) cpu::norm_row(to, layer.q_norm, d, c_.norm_eps, to);
    cpu::rope_row(to, m_.cos(position(row)), m_.sin(position(row)), d);
    for (int64_t c = 0; c < d; ++c) to[c] *= scale;
  }
  cpu::attend(q, heads, cached_rows(slot.a, key_head * d, d, key_head, d),
              cached_rows(slot.b, key_head * d, d, key_head, d), position(row) + 1,
              shared_.heads[row] + key_head * heads * d, work);
}

void NativeStep::feed_forward(const NativeLayer& layer) {
  const bool moe = layer.router.defined(), dense = layer.gate_up.defined();
  for (const int64_t row : lane_.active) {
    cpu::norm_row(lane_.x[row], layer.ffn_norm, c_.dim, c_.norm_eps, lane_.normed[row]);
  }
  if (moe) product(layer.router, lane_.normed, shared_.router);
  if (dense) {
    gated_product(layer.gate_up, lines(lane_.normed).data(), active(),
                  lines(shared_.hidden).data());
  }
  member_.barrier();
  if (moe) {
    route(layer);
    experts_in(layer);
    member_.barrier();
  }
  const auto [begin, end] = member_.share(c_.dim, 4);
  if (dense) {
    cpu::row_products(layer.ffn_down, begin, end, lines(std::as_const(shared_.hidden)).data(),
                      active(), lines(shared_.mixed).data());
  } else {
    for (const int64_t row : lane_.active) {
      std::fill(shared_.mixed[row] + begin, shared_.mixed[row] + end, 0.0f);
    }
  }
  if (moe) experts_out(layer, begin, end);
  member_.barrier();
  for (const int64_t row : lane_.active) {
    cpu::add_scaled(lane_.x[row], 1, shared_.mixed[row], c_.dim);
  }
}

// As block.cc's mixture: chosen by logit plus bias, weighted by the softmax of the chosen logits.
void NativeStep::route(const NativeLayer& layer) {
  const int64_t k = c_.n_experts_per_tok, places = active() * k;
  for (int64_t i = 0; i < active(); ++i) {
    const float* logits = shared_.router[lane_.active[static_cast<size_t>(i)]];
    int64_t* expert = &lane_.expert[static_cast<size_t>(i * k)];
    float* weight = &lane_.weight[static_cast<size_t>(i * k)];
    int64_t found = 0;
    const auto score = [&](int64_t e) { return logits[e] + layer.router_bias[e]; };
    for (int64_t e = 0; e < c_.n_experts; ++e) {
      if (found == k && !(score(e) > score(expert[k - 1]))) continue;
      int64_t at = found < k ? found++ : k - 1;
      for (; at > 0 && score(e) > score(expert[at - 1]); --at) expert[at] = expert[at - 1];
      expert[at] = e;
    }
    float most = logits[expert[0]], sum = 0;
    for (int64_t j = 1; j < k; ++j) most = std::max(most, logits[expert[j]]);
    for (int64_t j = 0; j < k; ++j) sum += weight[j] = std::exp(logits[expert[j]] - most);
    for (int64_t j = 0; j < k; ++j) weight[j] /= sum;
  }
  const auto first = lane_.order.begin();
  std::iota(first, first + places, 0);
  std::sort(first, first + places, [&](int64_t a, int64_t b) {
    const int64_t of_a = lane_.expert[static_cast<size_t>(a)];
    const int64_t of_b = lane_.expert[static_cast<size_t>(b)];
    return of_a != of_b ? of_a < of_b : a < b;
  });
}

template <class F>
void NativeStep::for_experts(const F& f) const {
  const int64_t places = active() * c_.n_experts_per_tok;
  const auto expert_at = [&](int64_t i) {
    return lane_.expert[static_cast<size_t>(lane_.order[static_cast<size_t>(i)])];
  };
  for (int64_t first = 0, last = 0; first < places; first = last) {
    while (last < places && expert_at(last) == expert_at(first)) ++last;
    f(expert_at(first), first, last);
  }
}

void NativeStep::experts_in(const NativeLayer& layer) {
  const int64_t k = c_.n_experts_per_tok;
  for_experts([&](int64_t expert, int64_t first, int64_t last) {
    Pointers from{};
    Targets to{};
    for (int64_t i = first; i < last; ++i) {
      const int64_t place = lane_.order[static_cast<size_t>(i)];
      from[static_cast<size_t>(i - first)] =
          lane_.normed[lane_.active[static_cast<size_t>(place / k)]];
      to[static_cast<size_t>(i - first)] = shared_.experts[place];
    }
    gated_product(layer.experts_gate_up[expert], from.data(), last - first, to.data());
  });
}

// mixed += weight · down(hidden) over each row's experts, columns begin … end-1.
void NativeStep::experts_out(const NativeLayer& layer, int64_t begin, int64_t end) {
  const int64_t k = c_.n_experts_per_tok;
  for_experts([&](int64_t expert, int64_t first, int64_t last) {
    Pointers from{};
    Targets to{};
    for (int64_t i = first; i < last; ++i) {
      from[static_cast<size_t>(i - first)] = shared_.experts[lane_.order[static_cast<size_t>(i)]];
      to[static_cast<size_t>(i - first)] = lane_.part[i - first];
    }
    cpu::row_products(layer.experts_down[expert], begin, end, from.data(), last - first, to.data());
    for (int64_t i = first; i < last; ++i) {
      const int64_t place = lane_.order[static_cast<size_t>(i)];
      float* mixed = shared_.mixed[lane_.active[static_cast<size_t>(place / k)]];
      cpu::add_scaled(mixed + begin, lane_.weight[static_cast<size_t>(place)],
                      lane_.part[i - first] + begin, end - begin);
    }
  });
}

}  // namespace mythos
