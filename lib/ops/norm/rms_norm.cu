// RMS norm, alone or of a sum, on CUDA: one read and one write of memory forward; backward with the
// weight's gradient summed per block in shared memory and then over blocks.
#include "device/cuda_device.h"
#include "device/cuda_partials.h"
#include "ops/norm/rms_norm_device.h"

namespace mythos {
namespace {

template <class X, class Y, int kGroup>
__global__ void forward_kernel(RmsNormForward args, bool aligned) {
  const int64_t width = args.width;
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const X* a = static_cast<const X*>(args.a) + n * args.a_stride;
    const X* b = args.b ? static_cast<const X*>(args.b) + n * args.b_stride : nullptr;
    X* sum = b ? static_cast<X*>(args.sum) + n * width : nullptr;
    float square = 0;
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N], y[N], shift[N] = {};
      load_n<N>(a + i, x);
      if (b) {
        load_n<N>(b + i, y);
        if (args.shift) load_n<N>(args.shift + i, shift);
        for (int j = 0; j < N; ++j) x[j] = load(as<X>(x[j] + y[j] + shift[j]));
        store_n<N>(sum + i, x);
      }
      for (int j = 0; j < N; ++j) square += x[j] * x[j];
    });
    square = group_sum<kGroup>(square);
    const float rstd = 1.0f / sqrtf(square / static_cast<float>(width) + args.eps);
    if (threadIdx.x % kGroup == 0) args.rstd[n] = rstd;
    const X* row = b ? sum : a;
    Y* out = static_cast<Y*>(args.out) + n * width;
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N], w[N];
      load_n<N>(row + i, x);
      load_n<N>(args.weight + i, w);
      for (int j = 0; j < N; ++j) x[j] *= rstd * w[j];
      store_n<N>(out + i, x);
    });
  }
}

template <class X, class Y, int kGroup>
__global__ void backward_kernel(RmsNormBackward args, bool aligned) {
  MYTHOS_DYNAMIC_SHARED(shared);
  const int64_t width = args.width;
  float* partial = args.partial + blockIdx.x * width;
  float* d_weight = accumulators<kGroup>(shared, partial, width, aligned);
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const X* s = static_cast<const X*>(args.s) + n * args.s_stride;
    const Y* d_out = static_cast<const Y*>(args.d_out) + n * width;
    const X* d_sum = args.d_sum ? static_cast<const X*>(args.d_sum) + n * width : nullptr;
    X* d_s = static_cast<X*>(args.d_s) + n * width;
    const float rstd = args.rstd[n];
    float dot = 0;
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N], g[N], w[N];
      load_n<N>(s + i, x);
      load_n<N>(d_out + i, g);
      load_n<N>(args.weight + i, w);
      for (int j = 0; j < N; ++j) dot += g[j] * w[j] * x[j];
    });
    const float scale = group_sum<kGroup>(dot) * rstd * rstd / static_cast<float>(width);
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N], g[N], w[N], d[N], more[N], sums[N];
      load_n<N>(s + i, x);
      load_n<N>(args.weight + i, w);
      load_n<N>(d_out + i, g);
      load_n<N>(d_weight + i, sums);
      if (d_sum) load_n<N>(d_sum + i, more);
      for (int j = 0; j < N; ++j) {
        sums[j] += g[j] * x[j] * rstd;
        d[j] = rstd * (g[j] * w[j] - x[j] * scale);
        if (d_sum) d[j] += more[j];
      }
      store_n<N>(d_weight + i, sums);
      store_n<N>(d_s + i, d);
    });
  }
  finish_accumulators<kGroup>(shared, partial, width);
}

template <class X, class Y>
int forward(const RmsNormForward& args, void* stream) {
  const bool aligned = aligned_rows({args.a, args.b, args.shift, args.weight, args.sum, args.out},
                                    {args.width, args.a_stride, args.b ? args.b_stride : 0});
  const bool warp = warp_rows(args.width);
  return launch(warp ? forward_kernel<X, Y, kWarp> : forward_kernel<X, Y, kThreads>,
                row_blocks(args.rows, warp), 0, stream, args, aligned);
}

template <class X, class Y, int kGroup>
int backward(const RmsNormBackward& args, void* stream) {
  const bool aligned =
      aligned_rows({args.s, args.weight, args.d_out, args.d_sum, args.d_s, args.partial},
                   {args.width, args.s_stride});
  return launch(backward_kernel<X, Y, kGroup>, dim3(static_cast<unsigned>(args.partials)),
                accumulator_bytes<kGroup>(args.width), stream, args, aligned);
}

template <class X, class Y>
int backward(const RmsNormBackward& args, void* stream) {
  const int status = warp_rows(args.width) ? backward<X, Y, kWarp>(args, stream)
                                           : backward<X, Y, kThreads>(args, stream);
  return status != 0 ? status
                     : add_partials(args.partial, args.d_weight, args.partials, args.width, stream);
}

// f(x, y) of numbers of the two types, of which the narrow ones are alike.
template <class F>
int with_types(NumberType in, NumberType out, F f) {
  if (in == NumberType::fp32) return with_type(out, [=](auto y) { return f(0.0f, y); });
  return with_type(in, [=](auto x) { return out == NumberType::fp32 ? f(x, 0.0f) : f(x, x); });
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_rms_norm_forward(const mythos::RmsNormForward* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_types(args->in_type, args->out_type, [=](auto x, auto y) {
    return forward<decltype(x), decltype(y)>(*args, stream);
  });
}

// With no rows the weight's gradient is still written: zeros.
extern "C" int mythos_cuda_rms_norm_backward(const mythos::RmsNormBackward* args, void* stream) {
  using namespace mythos;
  return with_types(args->in_type, args->out_type, [=](auto x, auto y) {
    return backward<decltype(x), decltype(y)>(*args, stream);
  });
}
