#include <algorithm>
#include <cfloat>

#include "device/cpu_simd.h"
#include "ops/linear/bf16_products.h"
#include "ops/linear/row_products.h"

namespace mythos::cpu {
namespace {

using Vector = float __attribute__((vector_size(64), aligned(4), may_alias));
using Bits = uint32_t __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));
using Half = uint16_t __attribute__((vector_size(32), aligned(2), may_alias));
using Bytes = uint8_t __attribute__((vector_size(16), aligned(1), may_alias));

constexpr int64_t kVector = 16;
constexpr int64_t kStep = 2 * kVector;  // columns of one turn, and a weight group
static_assert(kStep == kWeightGroup && kPairs == kWeightGroup);

MYTHOS_INLINE float bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float out;
  std::memcpy(&out, &wide, sizeof out);
  return out;
}
MYTHOS_INLINE Vector widen(const uint16_t* from) {
  return (Vector)(__builtin_convertvector(*reinterpret_cast<const Half*>(from), Bits) << 16);
}
// (byte − bias) · scale, with bias·scale given; unsigned, since g++ 12 widens signed bytes one by
// one.
MYTHOS_INLINE Vector widen(const Bytes& bytes, float scale, float offset) {
  return __builtin_convertvector(__builtin_convertvector(bytes, Ints), Vector) * scale - offset;
}
MYTHOS_INLINE Vector vector_at(const float* from) {
  return *reinterpret_cast<const Vector*>(from);
}
MYTHOS_INLINE float total(const Vector& v) {
  const auto eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                    __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// Columns k … k+31 of one row of weights as two vectors, and single ones behind the last whole 32.
struct Fp32 {
  static constexpr bool kGrouped = false;
  static constexpr int64_t kLine = 16;  // columns in 64 bytes
  const float* row;
  Fp32() = default;
  MYTHOS_INLINE Fp32(const RowMatrix& w, int64_t n)
      : row(reinterpret_cast<const float*>(w.values + n * w.row_bytes)) {}
  MYTHOS_INLINE void load(int64_t k, Vector& a, Vector& b) const {
    a = vector_at(row + k);
    b = vector_at(row + k + kVector);
  }
  MYTHOS_INLINE Vector half(int64_t k) const { return vector_at(row + k); }
  MYTHOS_INLINE const char* at(int64_t k) const { return reinterpret_cast<const char*>(row + k); }
  MYTHOS_INLINE float one(int64_t k) const { return row[k]; }
};
struct Bf16 {
  static constexpr bool kGrouped = false;
  static constexpr int64_t kLine = 32;  // columns in 64 bytes
  const uint16_t* row;
  Bf16() = default;
  MYTHOS_INLINE Bf16(const RowMatrix& w, int64_t n)
      : row(reinterpret_cast<const uint16_t*>(w.values + n * w.row_bytes)) {}
  MYTHOS_INLINE void load(int64_t k, Vector& a, Vector& b) const {
    a = widen(row + k);
    b = widen(row + k + kVector);
  }
  MYTHOS_INLINE Vector half(int64_t k) const { return widen(row + k); }
  MYTHOS_INLINE const char* at(int64_t k) const { return reinterpret_cast<const char*>(row + k); }
  MYTHOS_INLINE float one(int64_t k) const { return bf16(row[k]); }
};
struct Int8 {
  static constexpr bool kGrouped = true;
  static constexpr int64_t kLine = 64;  // columns in 64 bytes
  const uint8_t* row;
  const uint16_t* scale;
  Int8() = default;
  MYTHOS_INLINE Int8(const RowMatrix& w, int64_t n)
      : row(reinterpret_cast<const uint8_t*>(w.values + n * w.row_bytes)),
        scale(w.scales + n * w.row_scales) {}
  MYTHOS_INLINE const char* at(int64_t k) const { return reinterpret_cast<const char*>(row + k); }
  MYTHOS_INLINE void load(int64_t k, Vector& a, Vector& b) const {
    const float s = bf16(scale[k / kStep]);
    const Bytes* from = reinterpret_cast<const Bytes*>(row + k);
    a = widen(from[0] ^ 128, s, 128 * s);
    b = widen(from[1] ^ 128, s, 128 * s);
  }
};
struct Int4 {
  static constexpr bool kGrouped = true;
  static constexpr int64_t kLine = 128;  // columns in 64 bytes
  const uint8_t* row;
  const uint16_t* scale;
  Int4() = default;
  MYTHOS_INLINE Int4(const RowMatrix& w, int64_t n)
      : row(reinterpret_cast<const uint8_t*>(w.values + n * w.row_bytes)),
        scale(w.scales + n * w.row_scales) {}
  MYTHOS_INLINE const char* at(int64_t k) const {
    return reinterpret_cast<const char*>(row + k / 2);
  }
  MYTHOS_INLINE void load(int64_t k, Vector& a, Vector& b) const {
    const float s = bf16(scale[k / kStep]);
    const Bytes both = *reinterpret_cast<const Bytes*>(row + k / 2);
    a = widen(both & 15, s, 8 * s);
    b = widen(both >> 4, s, 8 * s);
  }
};

// Adds columns k … k+31: weights a, b and x of N·M pairs into the sums of even and odd vectors.
template <class W, int N, int M>
MYTHOS_INLINE void turn(const W (&w)[N], int64_t k, const float* const* x, int64_t x_at,
                        Vector (&even)[N][M], Vector (&odd)[N][M]) {
  Vector left[M], right[M];
  for (int m = 0; m < M; ++m) {
    left[m] = vector_at(x[m] + x_at);
    right[m] = vector_at(x[m] + x_at + kVector);
  }
  for (int i = 0; i < N; ++i) {
    Vector a, b;
    w[i].load(k, a, b);
    for (int m = 0; m < M; ++m) {
      even[i][m] += a * left[m];
      odd[i][m] += b * right[m];
    }
  }
}

// Adds columns k … k+15, which count as even.
template <class W, int N, int M>
MYTHOS_INLINE void half_turn(const W (&w)[N], int64_t k, const float* const* x,
                             Vector (&even)[N][M]) {
  for (int i = 0; i < N; ++i) {
    const Vector a = w[i].half(k);
    for (int m = 0; m < M; ++m) even[i][m] += a * vector_at(x[m] + k);
  }
}

// N rows of weights times M rows of x. Each result has two sums, of the even and the odd vectors,
// whatever N and M are: the same number comes out in every company.
template <class W, int N, int M>
MYTHOS_INLINE void tile(const RowMatrix& matrix, int64_t n, const float* const* x,
                        float* const* y) {
  Vector even[N][M] = {}, odd[N][M] = {};
  W w[N];
  for (int i = 0; i < N; ++i) w[i] = W(matrix, n + i);
  const int64_t columns = matrix.columns;
  int64_t whole = columns / kStep * kStep;
  for (int64_t k = 0; k < whole; k += kStep) {
    // The rows of the next tile: a row is too short for the hardware to see it coming.
    for (int64_t line = k; line < k + kStep; line += W::kLine) {
      if (line % W::kLine != 0) break;
      for (int i = 0; i < N; ++i) __builtin_prefetch(w[i].at(line) + N * matrix.row_bytes);
    }
    turn<W, N, M>(w, k, x, k, even, odd);
  }
  if constexpr (!W::kGrouped) {
    if (whole + kVector <= columns) {
      half_turn<W, N, M>(w, whole, x, even);
      whole += kVector;
    }
  }
  if (whole < columns) {
    // The last columns, filled up with zeros.
    float x_end[M][kStep] = {};
    const float* x_rows[M];
    for (int m = 0; m < M; ++m) {
      std::copy_n(x[m] + whole, columns - whole, x_end[m]);
      x_rows[m] = x_end[m];
    }
    if constexpr (W::kGrouped) {
      turn<W, N, M>(w, whole, x_rows, 0, even, odd);
    } else {
      float w_end[N][kStep] = {};
      Fp32 w_rows[N];
      for (int i = 0; i < N; ++i) {
        for (int64_t k = whole; k < columns; ++k) w_end[i][k - whole] = w[i].one(k);
        w_rows[i].row = w_end[i];
      }
      turn<Fp32, N, M>(w_rows, 0, x_rows, 0, even, odd);
    }
  }
  for (int i = 0; i < N; ++i) {
    for (int m = 0; m < M; ++m) y[m][n + i] = total(even[i][m] + odd[i][m]);
  }
}

template <class W, int M, int N>
MYTHOS_INLINE void strip(const RowMatrix& w, int64_t begin, int64_t end, const float* const* x,
                         float* const* y) {
  int64_t n = begin;
  for (; n + N <= end; n += N) tile<W, N, M>(w, n, x, y);
  for (; n < end; ++n) tile<W, 1, M>(w, n, x, y);
}

template <class W>
MYTHOS_INLINE void products(const RowMatrix& w, int64_t begin, int64_t end, const float* const* x,
                            int64_t count, float* const* y) {
  int64_t m = 0;
  for (; m + 4 <= count; m += 4) strip<W, 4, 2>(w, begin, end, x + m, y + m);
  for (; m + 2 <= count; m += 2) strip<W, 2, 4>(w, begin, end, x + m, y + m);
  for (; m < count; ++m) strip<W, 1, 4>(w, begin, end, x + m, y + m);
}

#define MYTHOS_PRODUCTS(NAME, W)                                                                 \
  MYTHOS_CLONES void NAME(const RowMatrix& w, int64_t begin, int64_t end, const float* const* x, \
                          int64_t count, float* const* y) {                                      \
    products<W>(w, begin, end, x, count, y);                                                     \
  }
MYTHOS_PRODUCTS(products_fp32, Fp32)
MYTHOS_PRODUCTS(products_bf16, Bf16)
MYTHOS_PRODUCTS(products_int8, Int8)
MYTHOS_PRODUCTS(products_int4, Int4)
#undef MYTHOS_PRODUCTS

template <class W>
MYTHOS_INLINE void add_rows(const RowMatrix& w, int64_t begin, int64_t end, const float* x,
                            float* y) {
  const int64_t whole = w.columns / kStep * kStep;
  for (int64_t n = begin; n < end; ++n) {
    const W row(w, n);
    const float a = x[n - begin];
    for (int64_t k = 0; k < whole; k += kStep) {
      Vector left, right;
      row.load(k, left, right);
      Vector* to = reinterpret_cast<Vector*>(y + k);
      to[0] += a * left;
      to[1] += a * right;
    }
    for (int64_t k = whole; k < w.columns; ++k) y[k] += a * row.one(k);
  }
}
MYTHOS_CLONES void add_rows_fp32(const RowMatrix& w, int64_t begin, int64_t end, const float* x,
                                 float* y) {
  add_rows<Fp32>(w, begin, end, x, y);
}
MYTHOS_CLONES void add_rows_bf16(const RowMatrix& w, int64_t begin, int64_t end, const float* x,
                                 float* y) {
  add_rows<Bf16>(w, begin, end, x, y);
}

template <class W, class T>
MYTHOS_INLINE void expand(const RowMatrix& w, int64_t begin, int64_t end, T* to) {
  for (int64_t n = begin; n < end; ++n) {
    const W row(w, n);
    T* out = to + n * w.columns;
    for (int64_t k = 0; k < w.columns; k += kStep) {
      Vector both[2];
      row.load(k, both[0], both[1]);
      float values[kStep];
      std::memcpy(values, both, sizeof values);
      const int64_t count = std::min(kStep, w.columns - k);
      for (int64_t i = 0; i < count; ++i) store(out + k + i, values[i]);
    }
  }
}
#define MYTHOS_EXPAND(NAME, W, T)                                                  \
  MYTHOS_CLONES void NAME(const RowMatrix& w, int64_t begin, int64_t end, T* to) { \
    expand<W>(w, begin, end, to);                                                  \
  }
MYTHOS_EXPAND(expand_int8, Int8, float)
MYTHOS_EXPAND(expand_int8_bf16, Int8, c10::BFloat16)
MYTHOS_EXPAND(expand_int4, Int4, float)
MYTHOS_EXPAND(expand_int4_bf16, Int4, c10::BFloat16)
#undef MYTHOS_EXPAND
MYTHOS_CLONES void expand_bf16(const RowMatrix& w, int64_t begin, int64_t end, float* to) {
  for (int64_t n = begin; n < end; ++n) {
    const auto* from = reinterpret_cast<const uint16_t*>(w.values + n * w.row_bytes);
    float* out = to + n * w.columns;
    for (int64_t k = 0; k < w.columns; ++k) out[k] = bf16(from[k]);
  }
}

RowMatrix::Kind kind_of(const Matrix& m) {
  if (m.format == WeightFormat::int8) return RowMatrix::Kind::int8;
  if (m.format == WeightFormat::int4) return RowMatrix::Kind::int4;
  return m.values.scalar_type() == at::kFloat ? RowMatrix::Kind::fp32 : RowMatrix::Kind::bf16;
}

}  // namespace

RowMatrix::RowMatrix(const Matrix& matrix) {
  if (!matrix.defined()) return;
  values = static_cast<const char*>(matrix.values.data_ptr());
  if (matrix.scales.defined()) {
    scales = static_cast<const uint16_t*>(matrix.scales.data_ptr());
    row_scales = matrix.scales.size(-1);
  }
  kind = kind_of(matrix);
  rows = matrix.rows();
  columns = matrix.columns;
  row_bytes = matrix.values.stride(-2) * static_cast<int64_t>(matrix.values.element_size());
}

RowMatrix::RowMatrix(const float* rows_, int64_t count, int64_t columns_, int64_t stride)
    : values(reinterpret_cast<const char*>(rows_)),
      rows(count),
      columns(columns_),
      row_bytes(stride * static_cast<int64_t>(sizeof(float))) {}

RowMatrices::RowMatrices(const Matrix& stack) : first(stack) {
  if (!stack.defined()) return;
  stride_bytes = stack.values.stride(0) * static_cast<int64_t>(stack.values.element_size());
  if (stack.scales.defined()) stride_scales = stack.scales.stride(0);
}

RowMatrix RowMatrices::operator[](int64_t index) const {
  RowMatrix one = first;
  one.values += index * stride_bytes;
  one.scales += index * stride_scales;
  return one;
}

void row_products(const RowMatrix& w, int64_t begin, int64_t end, const float* const* x,
                  int64_t count, float* const* y) {
  switch (w.kind) {
    case RowMatrix::Kind::fp32:
      return products_fp32(w, begin, end, x, count, y);
    case RowMatrix::Kind::bf16:
      return products_bf16(w, begin, end, x, count, y);
    case RowMatrix::Kind::int8:
      return products_int8(w, begin, end, x, count, y);
    case RowMatrix::Kind::int4:
      return products_int4(w, begin, end, x, count, y);
  }
}

void expand_rows(const RowMatrix& w, int64_t begin, int64_t end, float* to) {
  if (w.kind == RowMatrix::Kind::bf16) return expand_bf16(w, begin, end, to);
  w.kind == RowMatrix::Kind::int8 ? expand_int8(w, begin, end, to) : expand_int4(w, begin, end, to);
}

void expand_rows(const RowMatrix& w, int64_t begin, int64_t end, c10::BFloat16* to) {
  if (has_bf16_products() && w.columns % kPairs == 0) {
    const int64_t groups = w.columns / kPairs;
    for (int64_t n = begin; n < end; ++n) {
      const char* values = w.values + n * w.row_bytes;
      const uint16_t* scales = w.scales + n * w.row_scales;
      if (w.kind == RowMatrix::Kind::int8) {
        expand_int8(reinterpret_cast<const int8_t*>(values), scales, groups, to + n * w.columns);
      } else {
        expand_int4(reinterpret_cast<const uint8_t*>(values), scales, groups, to + n * w.columns);
      }
    }
    return;
  }
  w.kind == RowMatrix::Kind::int8 ? expand_int8_bf16(w, begin, end, to)
                                  : expand_int4_bf16(w, begin, end, to);
}

void column_products(const RowMatrix& w, int64_t begin, int64_t end, const float* x, float* y) {
  std::fill(y, y + w.columns, 0.0f);
  w.kind == RowMatrix::Kind::fp32 ? add_rows_fp32(w, begin, end, x, y)
                                  : add_rows_bf16(w, begin, end, x, y);
}

}  // namespace mythos::cpu
