#include "ops/attention/rope_cpu.h"

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

template <bool kHalves, class T>
MYTHOS_INLINE void rotate_position(const T* x, const float* cos, const float* sin, float direction,
                                   T* out, int64_t heads, int64_t width, int64_t pairs) {
  const int64_t kept = width - 2 * pairs;
  for (int64_t h = 0; h < heads; ++h) {
    const T* from = x + h * width;
    T* to = out + h * width;
    for (int64_t i = 0; i < kept; ++i) to[i] = from[i];
    from += kept;
    to += kept;
#pragma omp simd
    for (int64_t i = 0; i < pairs; ++i) {
      const int64_t first = kHalves ? i : 2 * i, second = kHalves ? i + pairs : 2 * i + 1;
      const float a = load(from[first]), b = load(from[second]);
      const float c = cos[i], s = sin[i] * direction;
      store(to + first, a * c - b * s);
      store(to + second, a * s + b * c);
    }
  }
}

// The kernels of both pairings for fp32 and bf16.
MYTHOS_CLONES void rotate_f(const float* x, const float* cos, const float* sin, float direction,
                            float* out, int64_t heads, int64_t width, int64_t pairs) {
  rotate_position<false>(x, cos, sin, direction, out, heads, width, pairs);
}
MYTHOS_CLONES void rotate_halves_f(const float* x, const float* cos, const float* sin,
                                   float direction, float* out, int64_t heads, int64_t width,
                                   int64_t pairs) {
  rotate_position<true>(x, cos, sin, direction, out, heads, width, pairs);
}
MYTHOS_CLONES void rotate_b(const BFloat16* x, const float* cos, const float* sin, float direction,
                            BFloat16* out, int64_t heads, int64_t width, int64_t pairs) {
  rotate_position<false>(x, cos, sin, direction, out, heads, width, pairs);
}
MYTHOS_CLONES void rotate_halves_b(const BFloat16* x, const float* cos, const float* sin,
                                   float direction, BFloat16* out, int64_t heads, int64_t width,
                                   int64_t pairs) {
  rotate_position<true>(x, cos, sin, direction, out, heads, width, pairs);
}

template <class T, class Kernel>
void typed(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float direction,
           const at::Tensor& out, Kernel kernel) {
  const int64_t length = x.size(1), heads = x.size(2), width = x.size(3), pairs = cos.size(1);
  const T* from = x.data_ptr<T>();
  T* to = out.data_ptr<T>();
  const int64_t batch_stride = x.stride(0), position_stride = x.stride(1);
  for_pieces(x.size(0) * length, heads * width * 4, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t s = n % length;
      kernel(from + n / length * batch_stride + s * position_stride,
             cos.data_ptr<float>() + s * pairs, sin.data_ptr<float>() + s * pairs, direction,
             to + n * heads * width, heads, width, pairs);
    }
  });
}

}  // namespace

void rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float direction,
          RopePairing pairing, const at::Tensor& out) {
  const bool halves = pairing == RopePairing::halves;
  if (x.scalar_type() == at::kFloat)
    typed<float>(x, cos, sin, direction, out, halves ? rotate_halves_f : rotate_f);
  else
    typed<BFloat16>(x, cos, sin, direction, out, halves ? rotate_halves_b : rotate_b);
}

}  // namespace mythos::cpu
