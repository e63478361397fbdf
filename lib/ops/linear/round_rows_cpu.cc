#include "ops/linear/round_rows_cpu.h"

#include <ATen/ATen.h>

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

constexpr int64_t kHalfGroup = kWeightGroup / 2;

// What the scale of a group is of its largest number (matrix.cc says why), and the range of
// multiples.
struct Range {
  float factor, low, high;
};
constexpr Range kInt8 = {static_cast<float>(-(1.0 + 0x1p-8) / 127.0), -127, 127};
constexpr Range kInt4 = {static_cast<float>(-(1.0 + 0x1p-8) / 8.0), -8, 7};

// The number of a group that is largest by |·|, the first of several; NaN if there is one. Without
// their sign, floating-point numbers are in the order of their bits, and NaNs come last.
MYTHOS_INLINE float signed_largest(const float* group) {
  int32_t sizes[kWeightGroup];
  std::memcpy(sizes, group, sizeof sizes);
  for (int64_t i = 0; i < kWeightGroup; ++i) sizes[i] &= 0x7fffffff;
  int32_t largest = 0;
  for (int64_t i = 0; i < kWeightGroup; ++i) largest = std::max(largest, sizes[i]);
  int32_t place = kWeightGroup;
  for (int32_t i = 0; i < kWeightGroup; ++i) {
    place = std::min(place, sizes[i] == largest ? i : static_cast<int32_t>(kWeightGroup));
  }
  return group[place];
}

// The scale of a group; `multiples` [32] become its numbers in units of the scale.
MYTHOS_INLINE BFloat16 round_group(const float* group, const Range& range, float* multiples) {
  BFloat16 scale;
  store(&scale, signed_largest(group) * range.factor);
  const float wide = load(scale), divisor = wide == 0 ? 1.0f : wide;
  for (int64_t i = 0; i < kWeightGroup; ++i) {
    const float multiple = std::nearbyint(group[i] / divisor);
    // Comparisons with a NaN are false, so it becomes the lowest multiple of a scale that is NaN.
    const float above = multiple > range.low ? multiple : range.low;
    multiples[i] = above < range.high ? above : range.high;
  }
  return scale;
}

MYTHOS_INLINE void put(const float* multiples, int8_t* to) {
  for (int64_t i = 0; i < kWeightGroup; ++i) to[i] = static_cast<int8_t>(multiples[i]);
}
MYTHOS_INLINE void put(const float* multiples, uint8_t* to) {
  for (int64_t i = 0; i < kHalfGroup; ++i) {
    const auto low = static_cast<int32_t>(multiples[i] + 8);
    const auto high = static_cast<int32_t>(multiples[i + kHalfGroup] + 8);
    to[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

template <class T, class Stored>
MYTHOS_INLINE void round_all(const T* rows, int64_t count, int64_t columns, const Range& range,
                             Stored* values, BFloat16* scales) {
  constexpr int64_t kStored = std::is_same_v<Stored, int8_t> ? kWeightGroup : kHalfGroup;
  for (int64_t n = 0; n < count; ++n, rows += columns) {
    for (int64_t k = 0; k < columns; k += kWeightGroup, values += kStored, ++scales) {
      float group[kWeightGroup] = {}, multiples[kWeightGroup];
      if (k + kWeightGroup <= columns) {
        for (int64_t i = 0; i < kWeightGroup; ++i) group[i] = load(rows[k + i]);
      } else {
        for (int64_t i = k; i < columns; ++i) group[i - k] = load(rows[i]);
      }
      *scales = round_group(group, range, multiples);
      put(multiples, values);
    }
  }
}

#define MYTHOS_ROUND(NAME, T, STORED, RANGE)                                             \
  MYTHOS_CLONES void NAME(const T* rows, int64_t count, int64_t columns, STORED* values, \
                          BFloat16* scales) {                                            \
    round_all(rows, count, columns, RANGE, values, scales);                              \
  }
MYTHOS_ROUND(round_some, float, int8_t, kInt8)
MYTHOS_ROUND(round_some, BFloat16, int8_t, kInt8)
MYTHOS_ROUND(round_some, float, uint8_t, kInt4)
MYTHOS_ROUND(round_some, BFloat16, uint8_t, kInt4)
#undef MYTHOS_ROUND

template <class T, class Stored>
void round_parallel(const at::Tensor& rows, const at::Tensor& values, const at::Tensor& scales) {
  const int64_t columns = rows.size(1), stored = values.size(1), groups = scales.size(1);
  const T* from = rows.const_data_ptr<T>();
  Stored* to = values.data_ptr<Stored>();
  BFloat16* to_scales = scales.data_ptr<BFloat16>();
  at::parallel_for(0, rows.size(0), 8, [&](int64_t begin, int64_t end) {
    round_some(from + begin * columns, end - begin, columns, to + begin * stored,
               to_scales + begin * groups);
  });
}

template <class T>
void round_to(const at::Tensor& rows, WeightFormat format, const at::Tensor& values,
              const at::Tensor& scales) {
  format == WeightFormat::int8 ? round_parallel<T, int8_t>(rows, values, scales)
                               : round_parallel<T, uint8_t>(rows, values, scales);
}

}  // namespace

bool round_rows_serves(const at::Tensor& rows) {
  return rows.is_cpu() && rows.is_contiguous() &&
         (rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kBFloat16);
}

void round_rows(const at::Tensor& rows, WeightFormat format, const at::Tensor& values,
                const at::Tensor& scales) {
  rows.scalar_type() == at::kFloat ? round_to<float>(rows, format, values, scales)
                                   : round_to<BFloat16>(rows, format, values, scales);
}

}  // namespace mythos::cpu
