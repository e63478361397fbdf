#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "model/cross_loop_rows.h"
#include "model/kv_cache.h"
#include "ops/linear/row_products.h"

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
    case CacheType::int4:
      return at::kByte;
    case CacheType::automatic:
      break;
  }
  return compute_type;
}

// int4 (cpu::CachedRows): bytes and scales of a group of so many numbers.
int64_t int4_bytes(int64_t width) {
  return (width + 1) / 2;
}
int64_t int4_scales(int64_t width) {
  return (width + kWeightGroup - 1) / kWeightGroup;
}

// x [..,width] in groups of kWeightGroup, the last one filled up with zeros, [..,groups,32].
Tensor in_weight_groups(const Tensor& x) {
  const int64_t groups = int4_scales(x.size(-1));
  return at::constant_pad_nd(x, {0, groups * kWeightGroup - x.size(-1)})
      .unflatten(-1, {groups, kWeightGroup});
}

// Scales [..,groups] of x [..,width] fp32 and its numbers [..,bytes].
std::pair<Tensor, Tensor> to_int4(const Tensor& x) {
  const Tensor parts = in_weight_groups(x);
  const Tensor scales = (parts.abs().amax(-1).clamp_min(1e-30) / 7.0).to(at::kBFloat16);
  const Tensor numbers = (parts / scales.to(at::kFloat).unsqueeze(-1)).round().clamp(-7, 7) + 8;
  const Tensor pairs = numbers.flatten(-2)
                           .narrow(-1, 0, 2 * int4_bytes(x.size(-1)))
                           .to(at::kByte)
                           .unflatten(-1, {-1, 2});
  return {scales, pairs.select(-1, 0) + pairs.select(-1, 1) * 16};
}

Tensor from_int4(const Tensor& scales, const Tensor& bytes, int64_t width) {
  const Tensor pairs = at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1);
  const Tensor numbers = pairs.flatten(-2).narrow(-1, 0, width).to(at::kFloat) - 8;
  return (in_weight_groups(numbers) * scales.to(at::kFloat).unsqueeze(-1))
      .flatten(-2)
      .narrow(-1, 0, width);
}

// One of the two things that a slot stores of each token.
struct Store {
  const std::vector<int64_t>* groups;  // widths of the parts that share an int8 scale
  Tensor numbers;  // [B,capacity,width] fp32, bf16 or int8; int4: [B,capacity,bytes] uint8
  Tensor scales;   // int8: [B,capacity,groups] fp32; int4: [B,capacity,·] bf16

  // f(member) for the tensors that the store has.
  template <class F>
  static void each(const Store& store, const F& f) {
    if (store.numbers.defined()) f(&Store::numbers);
    if (store.scales.defined()) f(&Store::scales);
  }

  bool is_int4() const { return numbers.scalar_type() == at::kByte; }

  // Writes value [B,S,...] at the tokens from `begin` on, where `running` [B,S] bool is undefined
  // or true; returns tokens 0 … begin+S-1 in value's shape and `type`.
  Tensor put(int64_t begin, const Tensor& value, at::ScalarType type,
             const Tensor& running = {}) const {
    write(begin, value, running);
    std::vector<int64_t> shape = value.sizes().vec();
    shape[1] = begin + value.size(1);
    return read(shape[1], type).view(shape);
  }

  void write(int64_t begin, const Tensor& value, const Tensor& running = {}) const {
    const int64_t count = value.size(1);
    const Tensor rows = value.reshape({value.size(0), count, -1});
    const Tensor mask = running.defined() ? running.unsqueeze(-1) : Tensor();
    const auto copy = [&](const Tensor& all, int64_t column, const Tensor& fresh) {
      const Tensor to = all.narrow(1, begin, count).narrow(2, column, fresh.size(2));
      to.copy_(mask.defined() ? at::where(mask, fresh.to(to.scalar_type()), to) : fresh);
    };
    if (!scales.defined()) {
      copy(numbers, 0, rows);
      return;
    }
    int64_t first = 0, column = 0, group = 0;
    for (const int64_t width : *groups) {
      const Tensor part = rows.narrow(2, first, width).to(at::kFloat);
      first += width;
      if (is_int4()) {
        const auto [fresh_scales, bytes] = to_int4(part);
        copy(scales, group, fresh_scales);
        copy(numbers, column, bytes);
        column += bytes.size(2), group += fresh_scales.size(2);
        continue;
      }
      const Tensor scale = part.abs().amax(2, true).clamp_min(1e-30) / 127.0;
      copy(scales, group, scale);
      copy(numbers, column, (part / scale).round());
      column += width, ++group;
    }
  }

  // Tokens 0 … end-1, [B,end,width] in `type`.
  Tensor read(int64_t end, at::ScalarType type) const {
    if (!scales.defined()) return numbers.narrow(1, 0, end).to(type);
    const auto stored = [&](const Tensor& all, int64_t column, int64_t width) {
      return all.narrow(1, 0, end).narrow(2, column, width);
    };
    std::vector<Tensor> all;
    int64_t column = 0, group = 0;
    for (const int64_t width : *groups) {
      if (is_int4()) {
        const int64_t bytes = int4_bytes(width), scaled = int4_scales(width);
        all.push_back(
            from_int4(stored(scales, group, scaled), stored(numbers, column, bytes), width));
        column += bytes, group += scaled;
        continue;
      }
      all.push_back(stored(numbers, column, width) * stored(scales, group, 1));
      column += width, ++group;
    }
    return at::cat(all, 2).to(type);
  }

  // Columns as the row kernels take them; the first `split` columns have the scale of `group`.
  cpu::CachedRows rows(int64_t first, int64_t width, int64_t group, int64_t split) const {
    using Kind = cpu::CachedRows::Kind;
    cpu::CachedRows rows;
    rows.numbers = static_cast<const char*>(numbers.data_ptr());
    rows.stride = numbers.size(2);
    rows.first = first;
    rows.width = width;
    rows.group = group;
    rows.split = split;
    rows.kind = numbers.scalar_type() == at::kFloat ? Kind::fp32 : Kind::bf16;
    if (!scales.defined()) return rows;
    rows.groups = scales.size(2);
    if (!is_int4()) {
      rows.kind = Kind::int8;
      rows.scales = scales.data_ptr<float>();
      return rows;
    }
    rows.kind = Kind::int4;
    rows.small_scales = scales.data_ptr<at::BFloat16>();
    rows.first = rows.group = 0;
    for (int64_t i = 0; i < group; ++i) {
      rows.first += int4_bytes((*groups)[static_cast<size_t>(i)]);
      rows.group += int4_scales((*groups)[static_cast<size_t>(i)]);
    }
    return rows;
  }
  void store(int64_t token, const float* x) const {
    const int64_t width = std::accumulate(groups->begin(), groups->end(), int64_t{0});
    cpu::store_row(x, rows(0, width, 0, width), groups->data(), token);
  }
};

// Memory for a number of tokens that doubles when it is full, with a slot for each prelude layer,
// loop × core layer and coda layer, in that order; CacheSharing leaves one slot a core layer, or
// `modulo` of them. With CacheSharing::low_rank that slot holds coordinates.
class DenseCache final : public KvCache {
 public:
  DenseCache(const ModelConfig& config, int64_t loops, int64_t batch, int64_t capacity_tokens,
             at::Device device, at::ScalarType compute_type, const CacheOptions& options,
             const CrossLoopBasis* basis)
      : layouts_{CacheLayout(config, Section::prelude), CacheLayout(config, Section::core),
                 CacheLayout(config, Section::coda)},
        prelude_(config.prelude_layers),
        core_(config.core_layers),
        loops_(loops),
        sharing_(options.sharing),
        slot_loops_(options.own_loops(loops)),
        compute_type_(compute_type) {
    if (basis) {
      coder_ = std::make_unique<CrossLoopCoder>(config, *basis, device);
      if (device.is_cpu()) coded_rows_ = std::make_unique<CrossLoopRows>(config, *basis);
    }
    const auto tensors =
        at::TensorOptions().dtype(storage_type(options.type, compute_type)).device(device);
    const int64_t capacity = std::max<int64_t>(capacity_tokens, 1);
    const auto make = [&](const std::vector<int64_t>& groups, int64_t width) {
      Store store{&groups, {}, {}};
      if (width == 0) return store;
      if (tensors.dtype() == at::kByte) {
        int64_t bytes = 0, scales = 0;
        for (const int64_t group : groups) bytes += int4_bytes(group), scales += int4_scales(group);
        store.numbers = at::empty({batch, capacity, bytes}, tensors);
        store.scales = at::empty({batch, capacity, scales}, tensors.dtype(at::kBFloat16));
        return store;
      }
      store.numbers = at::empty({batch, capacity, width}, tensors);
      if (tensors.dtype() == at::kChar) {
        store.scales = at::empty({batch, capacity, static_cast<int64_t>(groups.size())},
                                 tensors.dtype(at::kFloat));
      }
      return store;
    };
    const auto width_of = [](const std::vector<int64_t>& groups) {
      return std::accumulate(groups.begin(), groups.end(), int64_t{0});
    };
    const auto add_slots = [&](Section section, int64_t count) {
      const CacheLayout& of = layout(section);
      const bool coded = coder_ && section == Section::core;
      const std::vector<int64_t>& a = coded ? coder_->groups() : of.a;
      const std::vector<int64_t>& b = coded && !of.b.empty() ? coder_->groups() : of.b;
      for (int64_t i = 0; i < count; ++i) {
        slots_.push_back({make(a, width_of(a)), make(b, width_of(b))});
      }
    };
    add_slots(Section::prelude, prelude_);
    add_slots(Section::core, slot_loops_ * core_);
    add_slots(Section::coda, config.coda_layers);
    if (sharing_ == CacheSharing::average) sums_.resize(static_cast<size_t>(core_));
  }

  int64_t loops() const override { return loops_; }
  int64_t length() const override { return length_; }
  int64_t capacity() const override { return slots_.front()[0].numbers.size(1); }
  void truncate(int64_t tokens) override { length_ = tokens; }

  void reserve(int64_t tokens) override {
    if (sharing_ == CacheSharing::average) {
      const auto numbers = static_cast<size_t>(core_ * (tokens - length_) * core_numbers());
      if (row_sums_.size() < numbers) row_sums_.resize(numbers);
    }
    if (coded_rows_) coded_rows_->reserve(length_, tokens);
    if (tokens <= capacity()) return;
    const int64_t larger = std::max(tokens, 2 * capacity());
    for_tensors(slots_, [&](Tensor& store) {
      const Tensor to = at::empty({store.size(0), larger, store.size(2)}, store.options());
      to.narrow(1, 0, length_).copy_(store.narrow(1, 0, length_));
      store = to;
    });
  }

  void copy_prefix(const KvCache& other, int64_t tokens) override {
    const auto* from = dynamic_cast<const DenseCache*>(&other);
    if (!from || from->loops_ != loops_ || from->sharing_ != sharing_ ||
        from->slot_loops_ != slot_loops_ || from->length_ < tokens) {
      fail(ErrorKind::internal, "copy_prefix: the caches do not fit");
    }
    reserve(tokens);
    const int64_t first = std::min(length_, tokens), count = tokens - first;
    for (size_t i = 0; i < slots_.size(); ++i) {
      for (size_t j = 0; j < slots_[i].size(); ++j) {
        const Store &a = from->slots_[i][j], &b = slots_[i][j];
        Store::each(b, [&](Tensor Store::*part) {
          (b.*part).narrow(1, first, count).copy_((a.*part).narrow(1, first, count));
        });
      }
    }
    length_ = tokens;
  }

  std::pair<Tensor, Tensor> append(const CacheSlot& slot, const Tensor& a, const Tensor& b,
                                   const Tensor& running) override {
    reserve(length_ + a.size(1));
    if (sharing_ == CacheSharing::average && slot.section == Section::core) {
      add_to_sum(sums_[static_cast<size_t>(slot.layer)], a, b, running);
    }
    const Slot& to = at(slot);
    if (coder_ && slot.section == Section::core) {
      const auto join = [&](size_t part, const Tensor& fresh) {
        if (!fresh.defined()) return Tensor();
        return coder_->join(slot, part, to[part].read(length_, at::kFloat), fresh);
      };
      return {join(0, a), join(1, b)};
    }
    // What an earlier loop left of positions that do not run this one stays.
    const bool again = sharing_ == CacheSharing::modulo && slot.loop >= slot_loops_;
    const Tensor writes = again ? running : Tensor();
    const Tensor all = to[0].put(length_, a, compute_type_, writes);
    return {all, b.defined() ? to[1].put(length_, b, compute_type_, writes) : Tensor()};
  }

  void advance(int64_t tokens) override {
    for (int64_t layer = 0; coder_ && layer < core_; ++layer) {
      for (size_t part = 0; part < 2; ++part) {
        const Tensor fresh = coder_->coordinates(layer, part);
        if (fresh.defined()) at({Section::core, layer, 0})[part].write(length_, fresh);
      }
    }
    for (size_t layer = 0; layer < sums_.size(); ++layer) {
      Sum& sum = sums_[layer];
      if (!sum.a.defined()) continue;
      const Slot& to = at({Section::core, static_cast<int64_t>(layer), 0});
      to[0].put(length_, sum.a / sum.loops, compute_type_);
      if (sum.b.defined()) to[1].put(length_, sum.b / sum.loops, compute_type_);
      sum = {};
    }
    length_ += tokens;
  }

  int64_t size_bytes() const override {
    int64_t total = 0;
    for_tensors(slots_,
                [&](const Tensor& store) { total += static_cast<int64_t>(store.nbytes()); });
    return total;
  }
  int64_t bytes_per_token() const override {
    return size_bytes() / (slots_.front()[0].numbers.size(0) * capacity());
  }

  void store(const CacheSlot& slot, int64_t token, const float* a, const float* b) override {
    if (coder_ && slot.section == Section::core) {
      coded_rows_->store(slot, token, a, b);
      return;
    }
    const Slot& to = at(slot);
    to[0].store(token, a);
    if (b) to[1].store(token, b);
    if (sharing_ != CacheSharing::average || slot.section != Section::core) return;
    float* sum = row_sum(slot.layer, token);
    const CacheLayout& of = layout(Section::core);
    const int64_t width = of.width_a();
    if (slot.loop == 0) std::fill(sum, sum + of.numbers(), 0.0f);
    cpu::add_scaled(sum, 1, a, width);
    if (b) cpu::add_scaled(sum + width, 1, b, of.width_b());
  }

  void attend(const CacheSlot& slot, int64_t key_head, const float* q, int64_t heads,
              int64_t tokens, float* out, float* work) const override {
    const Slot& from = at(slot);
    const CacheLayout& of = layout(slot.section);
    if (coder_ && slot.section == Section::core) {
      const int64_t rank = coder_->groups()[0], first = key_head * rank;
      const auto coordinates = [&](const Store& store) {
        return store.numbers.defined() ? store.rows(first, rank, key_head, rank)
                                       : cpu::CachedRows();
      };
      coded_rows_->attend(slot, key_head, q, heads, tokens,
                          {coordinates(from[0]), coordinates(from[1])}, out, work);
      return;
    }
    if (of.b.empty()) {
      const int64_t rank = of.a[0], width = rank + of.a[1];
      const auto keys = from[0].rows(0, width, 0, rank), values = from[0].rows(0, rank, 0, rank);
      cpu::attend(q, heads, keys, values, tokens, out, work);
      return;
    }
    const int64_t d = of.a[0], first = key_head * d;
    const auto keys = from[0].rows(first, d, key_head, d),
               values = from[1].rows(first, d, key_head, d);
    cpu::attend(q, heads, keys, values, tokens, out, work);
  }

  void settle(int64_t token, int64_t loops_run, int64_t loops) override {
    for (int64_t layer = 0; layer < core_; ++layer) {
      const Slot& last = at({Section::core, layer, loops_run - 1});
      for (size_t part = 0; coder_ && part < 2; ++part) {
        if (!last[part].numbers.defined()) continue;
        last[part].store(token, coded_rows_->settle(layer, part, token, loops_run));
      }
      if (sharing_ == CacheSharing::per_loop || sharing_ == CacheSharing::modulo) {
        for (int64_t t = loops_run; t < std::min(loops, slot_loops_); ++t) {
          repeat(last, at({Section::core, layer, t}), token);
        }
      } else if (sharing_ == CacheSharing::average) {
        float* sum = row_sum(layer, token);
        const CacheLayout& of = layout(Section::core);
        for (int64_t i = 0; i < of.numbers(); ++i) sum[i] /= static_cast<float>(loops_run);
        last[0].store(token, sum);
        if (!of.b.empty()) last[1].store(token, sum + of.width_a());
      }
    }
  }

 private:
  using Slot = std::array<Store, 2>;
  // For CacheSharing::average, the sums of a and b over the loops that each of the tokens being
  // appended ran, and the number of those loops.
  struct Sum {
    Tensor a, b, loops;  // [B,S,...], loops broadcasts against both
  };

  const CacheLayout& layout(Section section) const {
    return layouts_[static_cast<size_t>(section)];
  }
  int64_t core_numbers() const { return layout(Section::core).numbers(); }
  int64_t index(const CacheSlot& slot) const {
    switch (slot.section) {
      case Section::prelude:
        return slot.layer;
      case Section::core:
        return prelude_ + slot.loop % slot_loops_ * core_ + slot.layer;
      case Section::coda:
        break;
    }
    return prelude_ + slot_loops_ * core_ + slot.layer;
  }
  const Slot& at(const CacheSlot& slot) const { return slots_[static_cast<size_t>(index(slot))]; }

  template <class Slots, class F>
  static void for_tensors(Slots& slots, const F& f) {
    for (auto& slot : slots) {
      for (auto& store : slot) Store::each(store, [&](Tensor Store::*part) { f(store.*part); });
    }
  }

  void add_to_sum(Sum& sum, const Tensor& a, const Tensor& b, const Tensor& running) const {
    std::vector<int64_t> shape(static_cast<size_t>(a.dim()), 1);
    shape[0] = a.size(0), shape[1] = a.size(1);
    const Tensor share = running.defined() ? running.to(at::kFloat).view(shape) : Tensor();
    const auto add = [&](Tensor& to, const Tensor& value) {
      if (!value.defined()) return;
      const Tensor part = share.defined() ? value.to(at::kFloat) * share : value.to(at::kFloat);
      to = to.defined() ? to + part : part;
    };
    add(sum.a, a);
    add(sum.b, b);
    add(sum.loops, at::ones(shape, a.options().dtype(at::kFloat)));
  }

  static void repeat(const Slot& from, const Slot& to, int64_t token) {
    for (size_t i = 0; i < 2; ++i) {
      Store::each(from[i], [&](Tensor Store::*part) {
        const Tensor &a = from[i].*part, &b = to[i].*part;
        const auto bytes = static_cast<size_t>(a.size(2)) * a.element_size();
        const auto offset = static_cast<size_t>(token) * bytes;
        std::memcpy(static_cast<char*>(b.data_ptr()) + offset,
                    static_cast<const char*>(a.data_ptr()) + offset, bytes);
      });
    }
  }
  float* row_sum(int64_t layer, int64_t token) {
    const int64_t numbers = core_numbers();
    const int64_t tokens = static_cast<int64_t>(row_sums_.size()) / (core_ * numbers);
    return &row_sums_[static_cast<size_t>((layer * tokens + token - length_) * numbers)];
  }

  std::array<CacheLayout, 3> layouts_;  // by section
  int64_t prelude_, core_, loops_, length_ = 0;
  CacheSharing sharing_;
  int64_t slot_loops_;  // loops of the core that have slots of their own
  at::ScalarType compute_type_;
  // CacheSharing::low_rank; rows on the CPU alone.
  std::unique_ptr<CrossLoopCoder> coder_;
  std::unique_ptr<CrossLoopRows> coded_rows_;
  std::vector<Slot> slots_;
  std::vector<Sum> sums_;        // of each core layer
  std::vector<float> row_sums_;  // [core layer, token behind length(), a then b]
};

}  // namespace

std::unique_ptr<KvCache> make_cache(const ModelConfig& config, int64_t loops, int64_t batch,
                                    int64_t capacity_tokens, at::Device device,
                                    at::ScalarType compute_type, const CacheOptions& options,
                                    const std::shared_ptr<const CrossLoopBasis>& basis) {
  const bool low_rank = options.sharing == CacheSharing::low_rank;
  if (low_rank && !basis) fail(ErrorKind::internal, "a low-rank cache lacks its basis");
  if (low_rank) require_loops(*basis, loops);
  return std::make_unique<DenseCache>(config, loops, batch, capacity_tokens, device, compute_type,
                                      options, low_rank ? basis.get() : nullptr);
}

}  // namespace mythos
