#include <algorithm>

#include "device/cpu_simd.h"
#include "ops/linear/row_products.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

using Vector = float __attribute__((vector_size(64), aligned(4), may_alias));

constexpr int64_t kVector = 16;
constexpr int64_t kBlock = 32;  // tokens
constexpr int64_t kHeads = 8;   // of one product

MYTHOS_INLINE Vector& vector_at(float* at) {
  return *reinterpret_cast<Vector*>(at);
}
MYTHOS_INLINE const Vector& vector_at(const float* at) {
  return *reinterpret_cast<const Vector*>(at);
}

// The meant columns of tokens begin … end-1 in fp32, `width` apart.
MYTHOS_CLONES void widen_bf16(const CachedRows& rows, int64_t begin, int64_t end, float* to) {
  const auto* from = reinterpret_cast<const BFloat16*>(rows.numbers) + rows.first;
  for (int64_t t = begin; t < end; ++t, to += rows.width) {
    const BFloat16* row = from + t * rows.stride;
#pragma omp simd
    for (int64_t i = 0; i < rows.width; ++i) to[i] = cpu::load(row[i]);
  }
}
MYTHOS_CLONES void widen_int8(const CachedRows& rows, int64_t begin, int64_t end, float* to) {
  const auto* from = reinterpret_cast<const int8_t*>(rows.numbers) + rows.first;
  for (int64_t t = begin; t < end; ++t, to += rows.width) {
    const int8_t* row = from + t * rows.stride;
    const float* scale = rows.scales + t * rows.groups + rows.group;
    const float first = scale[0];
#pragma omp simd
    for (int64_t i = 0; i < rows.split; ++i) to[i] = static_cast<float>(row[i]) * first;
    if (rows.split == rows.width) continue;
    const float second = scale[1];
#pragma omp simd
    for (int64_t i = rows.split; i < rows.width; ++i) to[i] = static_cast<float>(row[i]) * second;
  }
}

constexpr int kInt4Zero = 8, kInt4Most = 7;

// `count` columns of one group.
MYTHOS_INLINE void widen_int4_group(const uint8_t* from, const BFloat16* scales, int64_t count,
                                    float* to) {
  for (int64_t first = 0; first < count; first += kWeightGroup, ++scales) {
    const float scale = cpu::load(*scales);
    const int64_t pairs = std::min(kWeightGroup, count - first) / 2;
    const uint8_t* bytes = from + first / 2;
    float* out = to + first;
#pragma omp simd
    for (int64_t i = 0; i < pairs; ++i) {
      out[2 * i] = static_cast<float>((bytes[i] & 15) - kInt4Zero) * scale;
      out[2 * i + 1] = static_cast<float>((bytes[i] >> 4) - kInt4Zero) * scale;
    }
  }
  if (count % 2 == 0) return;
  const float scale = cpu::load(scales[-1]);
  to[count - 1] = static_cast<float>((from[count / 2] & 15) - kInt4Zero) * scale;
}
MYTHOS_CLONES void widen_int4(const CachedRows& rows, int64_t begin, int64_t end, float* to) {
  const int64_t bytes = (rows.split + 1) / 2;
  const int64_t scales = (rows.split + kWeightGroup - 1) / kWeightGroup;
  for (int64_t t = begin; t < end; ++t, to += rows.width) {
    const auto* from =
        reinterpret_cast<const uint8_t*>(rows.numbers) + t * rows.stride + rows.first;
    const BFloat16* scale = rows.small_scales + t * rows.groups + rows.group;
    widen_int4_group(from, scale, rows.split, to);
    if (rows.split == rows.width) continue;
    widen_int4_group(from + bytes, scale + scales, rows.width - rows.split, to + rows.split);
  }
}

// Rows of fp32 numbers with the meant columns of tokens begin … end-1: the cache itself, or `work`.
RowMatrix block_of(const CachedRows& rows, int64_t begin, int64_t end, float* work) {
  if (rows.kind == CachedRows::Kind::fp32) {
    const auto* from = reinterpret_cast<const float*>(rows.numbers) + rows.first;
    return {from + begin * rows.stride, end - begin, rows.width, rows.stride};
  }
  const auto widen = rows.kind == CachedRows::Kind::bf16   ? widen_bf16
                     : rows.kind == CachedRows::Kind::int8 ? widen_int8
                                                           : widen_int4;
  widen(rows, begin, end, work);
  return {work, end - begin, rows.width, rows.width};
}

// Takes the scores of one block into the running softmax: scores become weights, sums and what has
// been gathered are brought to the new maximum.
MYTHOS_CLONES void take_block(float* scores, int64_t count, float& most, float& sum, float* out,
                              int64_t width) {
  float top = most;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < count; ++i) top = scores[i] > top ? scores[i] : top;
  const float shrink = exp(most - top);
  float fresh = 0;
#pragma omp simd reduction(+ : fresh)
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = exp(scores[i] - top);
    fresh += scores[i];
  }
  sum = sum * shrink + fresh;
  most = top;
  if (shrink == 1.0f) return;
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) out[i] *= shrink;
}

// Columns of H heads' output, W vectors of them: to[h] += Σ_i weights[h][i] values[i].
template <int H, int W>
MYTHOS_INLINE void add_values_tile(const float* weights, int64_t count, const float* values,
                                   int64_t stride, float* to, int64_t width) {
  Vector sum[H][W];
  for (int h = 0; h < H; ++h) {
    for (int w = 0; w < W; ++w) sum[h][w] = vector_at(to + h * width + w * kVector);
  }
  for (int64_t i = 0; i < count; ++i) {
    const float* v = values + i * stride;
    for (int w = 0; w < W; ++w) {
      const Vector value = vector_at(v + w * kVector);
      for (int h = 0; h < H; ++h) sum[h][w] += weights[h * kBlock + i] * value;
    }
  }
  for (int h = 0; h < H; ++h) {
    for (int w = 0; w < W; ++w) vector_at(to + h * width + w * kVector) = sum[h][w];
  }
}

template <int H>
MYTHOS_INLINE void add_values_of(const float* weights, int64_t count, const float* values,
                                 int64_t stride, float* to, int64_t width) {
  int64_t c = 0;
  for (; c + 4 * kVector <= width; c += 4 * kVector) {
    add_values_tile<H, 4>(weights, count, values + c, stride, to + c, width);
  }
  for (; c + kVector <= width; c += kVector) {
    add_values_tile<H, 1>(weights, count, values + c, stride, to + c, width);
  }
  for (; c < width; ++c) {
    for (int h = 0; h < H; ++h) {
      float sum = to[h * width + c];
      for (int64_t i = 0; i < count; ++i) sum += weights[h * kBlock + i] * values[i * stride + c];
      to[h * width + c] = sum;
    }
  }
}

// out[h][c] += Σ_i weights[h][i] values[i][c]
MYTHOS_CLONES void add_values(const float* weights, int64_t heads, int64_t count,
                              const float* values, int64_t stride, float* out, int64_t width) {
  int64_t h = 0;
  for (; h + 2 <= heads; h += 2) {
    add_values_of<2>(weights + h * kBlock, count, values, stride, out + h * width, width);
  }
  if (h < heads) {
    add_values_of<1>(weights + h * kBlock, count, values, stride, out + h * width, width);
  }
}

MYTHOS_CLONES float largest(const float* x, int64_t width) {
  float most = 0;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < width; ++i) most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
  return most;
}

// The numbers of one group and their scales; x is kept.
void store_int4_group(const float* x, int64_t count, uint8_t* to, BFloat16* scales) {
  for (int64_t first = 0; first < count; first += kWeightGroup, ++scales) {
    const int64_t end = std::min(first + kWeightGroup, count);
    *scales = BFloat16(std::max(largest(x + first, end - first), 1e-30f) / kInt4Most);
    const float scale = cpu::load(*scales);
    for (int64_t i = first; i < end; ++i) {
      const float most = kInt4Most;
      const float rounded = std::clamp(std::nearbyint(x[i] / scale), -most, most);
      const auto bits = static_cast<uint8_t>(static_cast<int>(rounded) + kInt4Zero);
      uint8_t& byte = to[i / 2];
      byte = i % 2 == 0 ? bits : static_cast<uint8_t>(byte | (bits << 4));
    }
  }
}

}  // namespace

int64_t attention_work_floats(int64_t heads, int64_t key_width, int64_t value_width) {
  return kBlock * (heads + key_width + value_width) + 2 * heads;
}

void attend(const float* q, int64_t heads, const CachedRows& keys, const CachedRows& values,
            int64_t tokens, float* out, float* work) {
  float* scores = work;
  float* key_rows = scores + heads * kBlock;
  float* value_rows = key_rows + kBlock * keys.width;
  float* most = value_rows + kBlock * values.width;
  float* sum = most + heads;
  std::fill(out, out + heads * values.width, 0.0f);
  std::fill(most, most + heads, -1e30f);
  std::fill(sum, sum + heads, 0.0f);
  for (int64_t begin = 0; begin < tokens; begin += kBlock) {
    const int64_t end = std::min(tokens, begin + kBlock), count = end - begin;
    const RowMatrix key = block_of(keys, begin, end, key_rows);
    for (int64_t first = 0; first < heads; first += kHeads) {
      const int64_t some = std::min(kHeads, heads - first);
      const float* x[kHeads];
      float* y[kHeads];
      for (int64_t h = 0; h < some; ++h) {
        x[h] = q + (first + h) * keys.width;
        y[h] = scores + (first + h) * kBlock;
      }
      row_products(key, 0, count, x, some, y);
    }
    for (int64_t h = 0; h < heads; ++h) {
      take_block(scores + h * kBlock, count, most[h], sum[h], out + h * values.width, values.width);
    }
    const RowMatrix value = block_of(values, begin, end, value_rows);
    add_values(scores, heads, count, reinterpret_cast<const float*>(value.values),
               value.row_bytes / static_cast<int64_t>(sizeof(float)), out, values.width);
  }
  for (int64_t h = 0; h < heads; ++h) {
    const float share = 1.0f / sum[h];
    for (int64_t c = 0; c < values.width; ++c) out[h * values.width + c] *= share;
  }
}

void store_row(const float* x, const CachedRows& to, const int64_t* widths, int64_t token) {
  char* numbers = const_cast<char*>(to.numbers);
  if (to.kind == CachedRows::Kind::fp32) {
    std::copy_n(x, to.width, reinterpret_cast<float*>(numbers) + token * to.stride);
    return;
  }
  if (to.kind == CachedRows::Kind::bf16) {
    auto* row = reinterpret_cast<BFloat16*>(numbers) + token * to.stride;
    for (int64_t i = 0; i < to.width; ++i) store(row + i, x[i]);
    return;
  }
  if (to.kind == CachedRows::Kind::int4) {
    auto* bytes = reinterpret_cast<uint8_t*>(numbers) + token * to.stride;
    auto* scale = const_cast<BFloat16*>(to.small_scales) + token * to.groups;
    for (int64_t first = 0; first < to.width; first += *widths++) {
      store_int4_group(x + first, *widths, bytes, scale);
      bytes += (*widths + 1) / 2;
      scale += (*widths + kWeightGroup - 1) / kWeightGroup;
    }
    return;
  }
  auto* row = reinterpret_cast<int8_t*>(numbers) + token * to.stride;
  float* scales = const_cast<float*>(to.scales) + token * to.groups;
  for (int64_t group = 0; group < to.groups; ++group) {
    const float scale = std::max(largest(x, widths[group]), 1e-30f) / 127.0f;
    scales[group] = scale;
    for (int64_t i = 0; i < widths[group]; ++i) {
      row[i] = static_cast<int8_t>(std::nearbyint(x[i] / scale));
    }
    x += widths[group];
    row += widths[group];
  }
}

void read_rows(const CachedRows& rows, int64_t begin, int64_t end, float* to) {
  if (rows.kind != CachedRows::Kind::fp32) {
    block_of(rows, begin, end, to);
    return;
  }
  const auto* from = reinterpret_cast<const float*>(rows.numbers) + rows.first;
  for (int64_t t = begin; t < end; ++t, to += rows.width) {
    std::copy_n(from + t * rows.stride, rows.width, to);
  }
}

MYTHOS_CLONES void norm_row(const float* x, const float* weight, int64_t width, double eps,
                            float* y) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
  const float rstd = 1.0f / std::sqrt(sum / static_cast<float>(width) + static_cast<float>(eps));
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) y[i] = x[i] * rstd * weight[i];
}

MYTHOS_CLONES void swiglu_row(float* gate, const float* up, int64_t width) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) gate[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

void rope_row(float* x, const float* cos, const float* sin, int64_t width, RopePairing pairing) {
  const bool halves = pairing == RopePairing::halves;
  const int64_t step = halves ? 1 : 2, apart = halves ? width / 2 : 1;
  for (int64_t i = 0; i < width / 2; ++i) {
    float &first = x[step * i], &second = x[step * i + apart];
    const float a = first, b = second;
    first = a * cos[i] - b * sin[i];
    second = a * sin[i] + b * cos[i];
  }
}

MYTHOS_CLONES void add_scaled(float* y, float a, const float* x, int64_t width) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) y[i] += a * x[i];
}

MYTHOS_CLONES float dot(const float* x, const float* y, int64_t width) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace mythos::cpu
