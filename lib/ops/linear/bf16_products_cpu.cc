#include "ops/linear/bf16_products.h"

#include <algorithm>
#include <iterator>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mythos::cpu {

#if defined(__x86_64__)

namespace {

using c10::BFloat16;

#define MYTHOS_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define MYTHOS_BF16_INLINE inline MYTHOS_BF16 __attribute__((always_inline))

// The sums of four vectors.
MYTHOS_BF16_INLINE __m128 totals(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                   _mm512_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

MYTHOS_BF16_INLINE __m512bh pairs_at(const BFloat16* from) {
  return (__m512bh)_mm512_loadu_si512(from);
}

// Four rows of weights times M rows of x; `last` of the four count. Of the four after them rows
// first, first + step, ... are called from memory meanwhile.
template <int M>
MYTHOS_BF16 void tile(const BFloat16* const* w, int64_t last, const BFloat16* x, int64_t columns,
                      float* y, int64_t y_stride, int first, int step) {
  __m512 sum[4][M];
  for (int i = 0; i < 4; ++i) {
    for (int m = 0; m < M; ++m) sum[i][m] = _mm512_setzero_ps();
  }
  const BFloat16* next = w[0] + 4 * columns;
  for (int64_t k = 0; k < columns; k += kPairs) {
    __m512bh right[M];
    for (int m = 0; m < M; ++m) right[m] = pairs_at(x + k * M + m * kPairs);
    for (int i = first; i < 4; i += step) {
      _mm_prefetch(reinterpret_cast<const char*>(next + i * columns + k), _MM_HINT_T1);
    }
    for (int i = 0; i < 4; ++i) {
      const __m512bh left = pairs_at(w[i] + k);
      for (int m = 0; m < M; ++m) sum[i][m] = _mm512_dpbf16_ps(sum[i][m], left, right[m]);
    }
  }
  const __mmask8 kept = static_cast<__mmask8>((1u << last) - 1);
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    _mm_mask_storeu_ps(y + m * y_stride, kept, totals(sum[0][m], sum[1][m], sum[2][m], sum[3][m]));
  }
}

using Tile = void (*)(const BFloat16* const*, int64_t, const BFloat16*, int64_t, float*, int64_t,
                      int, int);
constexpr Tile kTiles[] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};
static_assert(std::size(kTiles) == kTileRows);

MYTHOS_BF16_INLINE void store_scaled(__m512i left, __m512i right, uint16_t scale, BFloat16* to) {
  const __m512 factor = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(scale) << 16));
  const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_mul_ps(_mm512_cvtepi32_ps(right), factor),
                                            _mm512_mul_ps(_mm512_cvtepi32_ps(left), factor));
  _mm512_storeu_si512(to, (__m512i)both);
}

}  // namespace

MYTHOS_BF16 void expand_int8(const int8_t* values, const uint16_t* scales, int64_t groups,
                             BFloat16* to) {
  for (int64_t g = 0; g < groups; ++g) {
    const auto* from = reinterpret_cast<const __m128i*>(values + g * kPairs);
    store_scaled(_mm512_cvtepi8_epi32(_mm_loadu_si128(from)),
                 _mm512_cvtepi8_epi32(_mm_loadu_si128(from + 1)), scales[g], to + g * kPairs);
  }
}

MYTHOS_BF16 void expand_int4(const uint8_t* values, const uint16_t* scales, int64_t groups,
                             BFloat16* to) {
  const __m512i low = _mm512_set1_epi32(15), bias = _mm512_set1_epi32(8);
  for (int64_t g = 0; g < groups; ++g) {
    const __m512i both = _mm512_cvtepu8_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(values + g * kPairs / 2)));
    store_scaled(_mm512_sub_epi32(_mm512_and_epi32(both, low), bias),
                 _mm512_sub_epi32(_mm512_srli_epi32(both, 4), bias), scales[g], to + g * kPairs);
  }
}

void bf16_products(const BFloat16* w, int64_t rows, const TiledRows& x, int64_t first, int64_t last,
                   float* y, int64_t y_stride) {
  const int step = static_cast<int>(std::min<int64_t>(last - first, 4));
  for (int64_t n = 0; n < rows; n += 4) {
    const BFloat16* four[4];
    for (int64_t i = 0; i < 4; ++i) four[i] = w + std::min(n + i, rows - 1) * x.columns();
    for (int64_t t = first; t < last; ++t) {
      const int64_t begin = x.begin(t);
      kTiles[x.begin(t + 1) - begin - 1](four, std::min<int64_t>(4, rows - n), x.tile(t),
                                         x.columns(), y + (begin - x.begin(first)) * y_stride + n,
                                         y_stride, static_cast<int>(t - first), step);
    }
  }
}

#else

void bf16_products(const c10::BFloat16*, int64_t, const TiledRows&, int64_t, int64_t, float*,
                   int64_t) {}
void expand_int8(const int8_t*, const uint16_t*, int64_t, c10::BFloat16*) {}
void expand_int4(const uint8_t*, const uint16_t*, int64_t, c10::BFloat16*) {}

#endif

}  // namespace mythos::cpu
