#include "model/cross_loop_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <tuple>

#include "model/row_program.h"
#include "ops/attention/rope.h"

namespace mythos {

CrossLoopRows::CrossLoopRows(const ModelConfig& config, const CrossLoopBasis& basis)
    : shape_(config),
      loops_(basis.loops),
      rank_(basis.rank),
      latent_(config.attention == Attention::mla ? config.kv_lora_rank : 0),
      numbers_(CacheLayout(config, Section::core).numbers()),
      rope_dim_(config.rope_dim()),
      theta_(config.rope_theta),
      pairing_(config.rope_pairing) {
  for (const auto& layer : basis.layers) {
    auto& to = basis_.emplace_back();
    for (size_t part = 0; part < 2; ++part) {
      if (layer[part].defined()) to[part] = layer[part].to(at::kCPU).contiguous();
    }
  }
}

void CrossLoopRows::reserve(int64_t first, int64_t tokens) {
  first_ = first;
  // More tokens at a time come as tensors.
  if (tokens - first <= RowProgram::kMaxRows) room_ = std::max(room_, tokens - first);
  const auto floats =
      static_cast<size_t>(static_cast<int64_t>(basis_.size()) * loops_ * room_ * numbers_);
  if (tokens_.size() < floats) tokens_.resize(floats);
  if (cos_.defined() && cos_.size(0) >= tokens) return;
  const int64_t length = cos_.defined() ? std::max(tokens, 2 * cos_.size(0)) : tokens;
  std::tie(cos_, sin_) = rope_table(0, length, rope_dim_, theta_, at::kCPU);
  back_ = sin_.neg();
}

void CrossLoopRows::store(const CacheSlot& slot, int64_t token, const float* a, const float* b) {
  const int64_t width = shape_.units * shape_.width;
  float* to = exact(slot.layer, slot.loop, token);
  std::copy_n(a, width, to);
  if (b) std::copy_n(b, width, to + width);
}

const float* CrossLoopRows::basis(int64_t layer, size_t part, int64_t unit) const {
  return basis_[static_cast<size_t>(layer)][part].const_data_ptr<float>() +
         unit * loops_ * shape_.width * rank_;
}

void CrossLoopRows::rebuild(const CacheSlot& slot, size_t part, int64_t unit, int64_t tokens,
                            const cpu::CachedRows& coordinates, float* to) const {
  constexpr int64_t kTogether = 8;
  const int64_t width = shape_.width, before = std::min(first_, tokens);
  const cpu::RowMatrix rows(basis(slot.layer, part, unit) + slot.loop * width * rank_, width, rank_,
                            rank_);
  thread_local std::vector<float> narrow;
  if (narrow.size() < static_cast<size_t>(kTogether * rank_)) {
    narrow.resize(static_cast<size_t>(kTogether * rank_));
  }
  for (int64_t begin = 0; begin < before; begin += kTogether) {
    const int64_t count = std::min(kTogether, before - begin);
    cpu::read_rows(coordinates, begin, begin + count, narrow.data());
    const float* x[kTogether];
    float* y[kTogether];
    for (int64_t i = 0; i < count; ++i) {
      x[i] = narrow.data() + i * rank_;
      y[i] = to + (begin + i) * width;
    }
    cpu::row_products(rows, 0, width, x, count, y);
  }
  const int64_t pairs = rope_dim_ / 2;
  const float* cos = cos_.const_data_ptr<float>();
  const float* sin = sin_.const_data_ptr<float>();
  for (int64_t token = 0; part == 0 && token < before; ++token) {
    cpu::rope_row(to + (token + 1) * width - rope_dim_, cos + token * pairs, sin + token * pairs,
                  rope_dim_, pairing_);
  }
  const auto column = (static_cast<int64_t>(part) * shape_.units + unit) * width;
  for (int64_t token = before; token < tokens; ++token) {
    std::copy_n(exact(slot.layer, slot.loop, token) + column, width, to + token * width);
  }
}

void CrossLoopRows::attend(const CacheSlot& slot, int64_t unit, const float* q, int64_t heads,
                           int64_t tokens, const std::array<cpu::CachedRows, 2>& parts, float* out,
                           float* work) const {
  const int64_t width = shape_.width, one = tokens * width;
  thread_local std::vector<float> rows;
  if (rows.size() < static_cast<size_t>(2 * one)) rows.resize(static_cast<size_t>(2 * one));
  const auto read = [&](const float* from, int64_t columns) {
    cpu::CachedRows all;
    all.numbers = reinterpret_cast<const char*>(from);
    all.kind = cpu::CachedRows::Kind::fp32;
    all.stride = width;
    all.width = all.split = columns;
    return all;
  };
  rebuild(slot, 0, unit, tokens, parts[0], rows.data());
  if (latent_ > 0) {
    cpu::attend(q, heads, read(rows.data(), width), read(rows.data(), latent_), tokens, out, work);
    return;
  }
  rebuild(slot, 1, unit, tokens, parts[1], rows.data() + one);
  cpu::attend(q, heads, read(rows.data(), width), read(rows.data() + one, width), tokens, out,
              work);
}

const float* CrossLoopRows::settle(int64_t layer, size_t part, int64_t token, int64_t loops_run) {
  const int64_t width = shape_.width, wide = shape_.units * width;
  const auto column = static_cast<int64_t>(part) * wide;
  for (int64_t loop = loops_run; loop < loops_; ++loop) {
    std::copy_n(exact(layer, loops_run - 1, token) + column, wide,
                exact(layer, loop, token) + column);
  }
  thread_local std::vector<float> stacked, coordinates;
  stacked.resize(static_cast<size_t>(loops_ * width));
  coordinates.resize(static_cast<size_t>(shape_.units * rank_));
  const int64_t pairs = rope_dim_ / 2;
  for (int64_t unit = 0; unit < shape_.units; ++unit) {
    for (int64_t loop = 0; loop < loops_; ++loop) {
      float* to = stacked.data() + loop * width;
      std::copy_n(exact(layer, loop, token) + column + unit * width, width, to);
      if (part != 0) continue;
      cpu::rope_row(to + width - rope_dim_, cos_.const_data_ptr<float>() + token * pairs,
                    back_.const_data_ptr<float>() + token * pairs, rope_dim_, pairing_);
    }
    const cpu::RowMatrix rows(basis(layer, part, unit), loops_ * width, rank_, rank_);
    cpu::column_products(rows, 0, loops_ * width, stacked.data(),
                         coordinates.data() + unit * rank_);
  }
  return coordinates.data();
}

}  // namespace mythos
