// SwiGLU on CUDA, with an optional factor for each row: the routing weight of an expert's row.
#include "device/cuda_device.h"
#include "ops/swiglu/swiglu_device.h"

namespace mythos {
namespace {

__device__ inline float sigmoid(float x) {
  return 1.0f / (1.0f + fast_exp(-x));
}

template <class T, int kGroup>
__global__ void forward_kernel(SwiGluForward args, bool aligned) {
  const int64_t width = args.width;
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const T* gate = static_cast<const T*>(args.gate_up) + n * 2 * width;
    const T* up = gate + width;
    T* out = static_cast<T*>(args.out) + n * width;
    const float factor = args.scale ? args.scale[args.slot[n]] : 1.0f;
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float g[N], u[N];
      load_n<N>(gate + i, g);
      load_n<N>(up + i, u);
      for (int j = 0; j < N; ++j) g[j] = g[j] * sigmoid(g[j]) * u[j] * factor;
      store_n<N>(out + i, g);
    });
  }
}

template <class T, int kGroup>
__global__ void backward_kernel(SwiGluBackward args, bool aligned) {
  const int64_t width = args.width;
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const T* gate = static_cast<const T*>(args.gate_up) + n * 2 * width;
    const T* up = gate + width;
    const T* d_out = static_cast<const T*>(args.d_out) + n * width;
    T* d_gate = static_cast<T*>(args.d_gate_up) + n * 2 * width;
    T* d_up = d_gate + width;
    const float factor = args.scale ? args.scale[args.slot[n]] : 1.0f;
    float dot = 0;
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float g[N], u[N], d[N];
      load_n<N>(gate + i, g);
      load_n<N>(up + i, u);
      load_n<N>(d_out + i, d);
      for (int j = 0; j < N; ++j) {
        const float s = sigmoid(g[j]), silu = g[j] * s, raw = d[j], grad = raw * factor;
        dot += raw * silu * u[j];
        d[j] = grad * silu;
        g[j] = grad * u[j] * s * (1.0f + g[j] * (1.0f - s));
      }
      store_n<N>(d_up + i, d);
      store_n<N>(d_gate + i, g);
    });
    if (!args.scale) continue;
    dot = group_sum<kGroup>(dot);
    if (threadIdx.x % kGroup == 0) args.d_scale[args.slot[n]] = dot;
  }
}

template <class T>
int forward(const SwiGluForward& args, void* stream) {
  const bool aligned = aligned_rows({args.gate_up, args.out}, {args.width});
  const bool warp = warp_rows(args.width);
  return launch(warp ? forward_kernel<T, kWarp> : forward_kernel<T, kThreads>,
                row_blocks(args.rows, warp), 0, stream, args, aligned);
}

template <class T>
int backward(const SwiGluBackward& args, void* stream) {
  const bool aligned = aligned_rows({args.gate_up, args.d_out, args.d_gate_up}, {args.width});
  const bool warp = warp_rows(args.width);
  return launch(warp ? backward_kernel<T, kWarp> : backward_kernel<T, kThreads>,
                row_blocks(args.rows, warp), 0, stream, args, aligned);
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_swiglu_forward(const mythos::SwiGluForward* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_type(args->type, [=](auto one) { return forward<decltype(one)>(*args, stream); });
}

extern "C" int mythos_cuda_swiglu_backward(const mythos::SwiGluBackward* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_type(args->type, [=](auto one) { return backward<decltype(one)>(*args, stream); });
}
