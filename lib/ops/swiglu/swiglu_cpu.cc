#include "ops/swiglu/swiglu_cpu.h"

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

template <class T>
MYTHOS_INLINE void forward_rows(const T* gate_up, const float* scale, T* out, int64_t rows,
                                int64_t width) {
  for (int64_t n = 0; n < rows; ++n) {
    const T* gate = gate_up + n * 2 * width;
    const T* up = gate + width;
    const float factor = scale ? scale[n] : 1.0f;
    T* to = out + n * width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      const float g = load(gate[i]);
      store(to + i, g * sigmoid(g) * load(up[i]) * factor);
    }
  }
}

template <class T>
MYTHOS_INLINE void backward_rows(const T* gate_up, const float* scale, const T* d_out, T* d_gate_up,
                                 float* d_scale, int64_t rows, int64_t width) {
  for (int64_t n = 0; n < rows; ++n) {
    const T* gate = gate_up + n * 2 * width;
    const T* up = gate + width;
    const T* d = d_out + n * width;
    T* d_gate = d_gate_up + n * 2 * width;
    T* d_up = d_gate + width;
    const float factor = scale ? scale[n] : 1.0f;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < width; ++i) {
      const float g = load(gate[i]), u = load(up[i]), s = sigmoid(g);
      const float raw = load(d[i]);
      dot += raw * g * s * u;
      const float grad = raw * factor;
      store(d_up + i, grad * g * s);
      store(d_gate + i, grad * u * s * (1.0f + g * (1.0f - s)));
    }
    if (d_scale) d_scale[n] = dot;
  }
}

#define MYTHOS_SWIGLU(NAME, T)                                                                    \
  MYTHOS_CLONES void forward_##NAME(const T* gate_up, const float* scale, T* out, int64_t rows,   \
                                    int64_t width) {                                              \
    forward_rows(gate_up, scale, out, rows, width);                                               \
  }                                                                                               \
  MYTHOS_CLONES void backward_##NAME(const T* gate_up, const float* scale, const T* d_out,        \
                                     T* d_gate_up, float* d_scale, int64_t rows, int64_t width) { \
    backward_rows(gate_up, scale, d_out, d_gate_up, d_scale, rows, width);                        \
  }

MYTHOS_SWIGLU(f, float)
MYTHOS_SWIGLU(b, BFloat16)
#undef MYTHOS_SWIGLU

template <class T, class Kernel>
void forward_typed(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& out,
                   Kernel kernel) {
  const int64_t width = out.size(1);
  const float* factors = scale.defined() ? scale.data_ptr<float>() : nullptr;
  for_pieces(out.size(0), width * 16, [&](int64_t, int64_t begin, int64_t end) {
    kernel(gate_up.data_ptr<T>() + begin * 2 * width, factors ? factors + begin : nullptr,
           out.data_ptr<T>() + begin * width, end - begin, width);
  });
}

template <class T, class Kernel>
void backward_typed(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& d_out,
                    const at::Tensor& d_gate_up, const at::Tensor& d_scale, Kernel kernel) {
  const int64_t width = d_out.size(1);
  const float* factors = scale.defined() ? scale.data_ptr<float>() : nullptr;
  float* d_factors = scale.defined() ? d_scale.data_ptr<float>() : nullptr;
  for_pieces(d_out.size(0), width * 16, [&](int64_t, int64_t begin, int64_t end) {
    kernel(gate_up.data_ptr<T>() + begin * 2 * width, factors ? factors + begin : nullptr,
           d_out.data_ptr<T>() + begin * width, d_gate_up.data_ptr<T>() + begin * 2 * width,
           d_factors ? d_factors + begin : nullptr, end - begin, width);
  });
}

}  // namespace

void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& out) {
  if (out.scalar_type() == at::kFloat)
    forward_typed<float>(gate_up, scale, out, forward_f);
  else
    forward_typed<BFloat16>(gate_up, scale, out, forward_b);
}

void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& scale, const at::Tensor& d_out,
                     const at::Tensor& d_gate_up, const at::Tensor& d_scale) {
  if (d_out.scalar_type() == at::kFloat) {
    backward_typed<float>(gate_up, scale, d_out, d_gate_up, d_scale, backward_f);
  } else {
    backward_typed<BFloat16>(gate_up, scale, d_out, d_gate_up, d_scale, backward_b);
  }
}

}  // namespace mythos::cpu
