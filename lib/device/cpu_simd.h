#pragma once
#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

// For the _cpu.cc files: loops that the compiler turns into vector code for each instruction set.
// Functions marked MYTHOS_CLONES are compiled once per instruction set and chosen when the program
// is loaded; what they call must be MYTHOS_INLINE.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MYTHOS_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MYTHOS_CLONES
#endif
#define MYTHOS_INLINE inline __attribute__((always_inline))

namespace mythos::cpu {

MYTHOS_INLINE float load(float x) {
  return x;
}
MYTHOS_INLINE float load(c10::BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.x) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
MYTHOS_INLINE void store(float* to, float x) {
  *to = x;
}
// fp32 to bf16, rounded to nearest even; a NaN stays one.
MYTHOS_INLINE void store(c10::BFloat16* to, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to->x = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

// e^x with an error of about one unit in the last place: 2^n by its exponent bits and a polynomial
// (Cephes expf) on the remainder. A NaN stays one.
MYTHOS_INLINE float exp(float x) {
  const float bounded = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float n = std::nearbyint(bounded * 1.44269504f);
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

MYTHOS_INLINE float sigmoid(float x) {
  return 1.0f / (1.0f + exp(-x));
}

// Work over rows in a fixed number of pieces, so that partial sums do not depend on the thread
// count.
inline int64_t pieces_of(int64_t rows) {
  return std::clamp<int64_t>(rows / 16, 1, 64);
}

// f(piece, first row, end row) for each piece, in parallel when there is enough work.
template <class F>
void for_pieces(int64_t rows, int64_t row_bytes, const F& f) {
  const int64_t pieces = pieces_of(rows);
  const auto run = [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p, rows * p / pieces, rows * (p + 1) / pieces);
  };
  if (rows * row_bytes < 32768) {
    run(0, pieces);
  } else {
    at::parallel_for(0, pieces, 1, run);
  }
}

}  // namespace mythos::cpu
