#include "ops/norm/rms_norm_cpu.h"

#include <vector>

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

template <class X, class Y>
MYTHOS_INLINE float forward_row(const X* a, const X* b, const float* shift, const float* weight,
                                float eps, X* s, Y* out, int64_t width) {
  const X* row = a;
  if (b && shift) {
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) store(s + i, load(a[i]) + load(b[i]) + shift[i]);
    row = s;
  } else if (b) {
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) store(s + i, load(a[i]) + load(b[i]));
    row = s;
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += load(row[i]) * load(row[i]);
  const float rstd = 1.0f / std::sqrt(sum / static_cast<float>(width) + eps);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) store(out + i, load(row[i]) * rstd * weight[i]);
  return rstd;
}

template <class X, class Y>
MYTHOS_INLINE void backward_row(const X* s, const float* weight, float rstd, const Y* d_out,
                                const X* d_sum, X* d_s, float* d_weight, int64_t width) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < width; ++i) dot += load(d_out[i]) * weight[i] * load(s[i]);
  const float scale = dot * rstd * rstd / static_cast<float>(width);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    const float g = load(d_out[i]);
    const float x = load(s[i]);
    d_weight[i] += g * x * rstd;
    const float d = rstd * (g * weight[i] - x * scale);
    store(d_s + i, d_sum ? d + load(d_sum[i]) : d);
  }
}

#define MYTHOS_RMS_NORM(NAME, X, Y)                                                               \
  MYTHOS_CLONES void forward_rows_##NAME(                                                         \
      const X* a, int64_t a_stride, const X* b, int64_t b_stride, const float* shift,             \
      const float* weight, float eps, X* s, Y* out, float* rstd, int64_t rows, int64_t width) {   \
    for (int64_t n = 0; n < rows; ++n) {                                                          \
      rstd[n] = forward_row(a + n * a_stride, b ? b + n * b_stride : nullptr, shift, weight, eps, \
                            s ? s + n * width : nullptr, out + n * width, width);                 \
    }                                                                                             \
  }                                                                                               \
  MYTHOS_CLONES void backward_rows_##NAME(const X* s, int64_t s_stride, const float* weight,      \
                                          const float* rstd, const Y* d_out, const X* d_sum,      \
                                          X* d_s, float* d_weight, int64_t rows, int64_t width) { \
    for (int64_t n = 0; n < rows; ++n) {                                                          \
      backward_row(s + n * s_stride, weight, rstd[n], d_out + n * width,                          \
                   d_sum ? d_sum + n * width : nullptr, d_s + n * width, d_weight, width);        \
    }                                                                                             \
  }

MYTHOS_RMS_NORM(ff, float, float)
MYTHOS_RMS_NORM(fb, float, BFloat16)
MYTHOS_RMS_NORM(bb, BFloat16, BFloat16)
MYTHOS_RMS_NORM(bf, BFloat16, float)
#undef MYTHOS_RMS_NORM

template <class T>
T* pointer(const at::Tensor& t) {
  return t.defined() ? t.data_ptr<T>() : nullptr;
}

template <class X, class Y, class Kernel>
void forward_typed(const at::Tensor& a, const at::Tensor& b, const at::Tensor& shift,
                   const at::Tensor& weight, double eps, const at::Tensor& s, const at::Tensor& out,
                   const at::Tensor& rstd, Kernel kernel) {
  const int64_t width = a.size(1);
  const X* a_data = pointer<X>(a);
  const X* b_data = pointer<X>(b);
  X* s_data = pointer<X>(s);
  Y* out_data = pointer<Y>(out);
  const int64_t a_stride = a.stride(0), b_stride = b.defined() ? b.stride(0) : 0;
  for_pieces(a.size(0), width * 4, [&](int64_t, int64_t begin, int64_t end) {
    kernel(a_data + begin * a_stride, a_stride, b_data ? b_data + begin * b_stride : nullptr,
           b_stride, pointer<float>(shift), pointer<float>(weight), static_cast<float>(eps),
           s_data ? s_data + begin * width : nullptr, out_data + begin * width,
           pointer<float>(rstd) + begin, end - begin, width);
  });
}

template <class X, class Y, class Kernel>
void backward_typed(const at::Tensor& s, const at::Tensor& weight, const at::Tensor& rstd,
                    const at::Tensor& d_out, const at::Tensor& d_sum, const at::Tensor& d_s,
                    const at::Tensor& d_weight, Kernel kernel) {
  const int64_t rows = s.size(0), width = s.size(1);
  const at::Tensor partial = s.new_zeros({pieces_of(rows), width}, at::kFloat);
  float* partial_data = pointer<float>(partial);
  const X* s_data = pointer<X>(s);
  const X* d_sum_data = pointer<X>(d_sum);
  const int64_t s_stride = s.stride(0);
  for_pieces(rows, width * 4, [&](int64_t piece, int64_t begin, int64_t end) {
    kernel(s_data + begin * s_stride, s_stride, pointer<float>(weight),
           pointer<float>(rstd) + begin, pointer<Y>(d_out) + begin * width,
           d_sum_data ? d_sum_data + begin * width : nullptr, pointer<X>(d_s) + begin * width,
           partial_data + piece * width, end - begin, width);
  });
  d_weight.copy_(partial.sum(0));
}

}  // namespace

void rms_norm_forward(const at::Tensor& a, const at::Tensor& b, const at::Tensor& shift,
                      const at::Tensor& weight, double eps, const at::Tensor& s,
                      const at::Tensor& out, const at::Tensor& rstd) {
  const bool wide = a.scalar_type() == at::kFloat;
  if (out.scalar_type() == at::kFloat) {
    if (wide)
      forward_typed<float, float>(a, b, shift, weight, eps, s, out, rstd, forward_rows_ff);
    else
      forward_typed<BFloat16, float>(a, b, shift, weight, eps, s, out, rstd, forward_rows_bf);
  } else {
    if (wide)
      forward_typed<float, BFloat16>(a, b, shift, weight, eps, s, out, rstd, forward_rows_fb);
    else
      forward_typed<BFloat16, BFloat16>(a, b, shift, weight, eps, s, out, rstd, forward_rows_bb);
  }
}

void rms_norm_backward(const at::Tensor& s, const at::Tensor& weight, const at::Tensor& rstd,
                       const at::Tensor& d_out, const at::Tensor& d_sum, const at::Tensor& d_s,
                       const at::Tensor& d_weight) {
  const bool wide = s.scalar_type() == at::kFloat;
  if (d_out.scalar_type() == at::kFloat) {
    if (wide)
      backward_typed<float, float>(s, weight, rstd, d_out, d_sum, d_s, d_weight, backward_rows_ff);
    else
      backward_typed<BFloat16, float>(s, weight, rstd, d_out, d_sum, d_s, d_weight,
                                      backward_rows_bf);
  } else {
    if (wide)
      backward_typed<float, BFloat16>(s, weight, rstd, d_out, d_sum, d_s, d_weight,
                                      backward_rows_fb);
    else
      backward_typed<BFloat16, BFloat16>(s, weight, rstd, d_out, d_sum, d_s, d_weight,
                                         backward_rows_bb);
  }
}

}  // namespace mythos::cpu
