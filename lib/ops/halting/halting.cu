// A step of adaptive computation time on CUDA: the halting probability's dot product, the scalars
// of a position and the weighted sum of states, one read of each.
#include "device/cuda_device.h"
#include "device/cuda_partials.h"
#include "ops/halting/halting_device.h"

namespace mythos {
namespace {

template <int kGroup>
__device__ inline float row_dot(const float* a, const float* b, int64_t width, bool aligned) {
  float dot = 0;
  for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
    constexpr int N = decltype(count)::value;
    float x[N], y[N];
    load_n<N>(a + i, x);
    load_n<N>(b + i, y);
    for (int j = 0; j < N; ++j) dot += x[j] * y[j];
  });
  return group_sum<kGroup>(dot);
}

template <int kGroup>
__global__ void forward_kernel(HaltingForward args, bool aligned) {
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const float* h = args.h + n * args.width;
    const float z = row_dot<kGroup>(h, args.weight, args.width, aligned) + args.bias[0];
    const float p = 1.0f / (1.0f + expf(-z));
    const float cumulative = args.cumulative[n], running = args.running[n];
    const float rest = fmaxf(1.0f - cumulative, 0.0f);
    const bool ends = args.last || cumulative + p >= args.threshold;
    const float share = (ends ? rest : p) * running;
    if (threadIdx.x % kGroup == 0) {
      const float next = cumulative + p * running;
      args.p[n] = p;
      args.share[n] = share;
      args.cumulative_out[n] = next;
      args.remainder_out[n] = args.remainder[n] + (ends ? rest * running : 0.0f);
      args.running_out[n] = next < args.threshold ? running : 0.0f;
      args.steps_out[n] = args.steps[n] + running;
    }
    for_columns<kGroup>(args.width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N], sum[N];
      load_n<N>(h + i, x);
      load_n<N>(args.output + n * args.width + i, sum);
      for (int j = 0; j < N; ++j) sum[j] += share * x[j];
      store_n<N>(args.output_out + n * args.width + i, sum);
    });
  }
}

template <int kGroup>
__global__ void backward_kernel(HaltingBackward args, bool aligned) {
  MYTHOS_DYNAMIC_SHARED(shared);
  const int64_t width = args.width;
  float* partial = args.partial + blockIdx.x * width;
  float* d_weight = accumulators<kGroup>(shared, partial, width, aligned);
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const float* h = args.h + n * width;
    const float* d_output = args.d_output ? args.d_output + n * width : nullptr;
    float d_share = args.d_share ? args.d_share[n] : 0.0f;
    if (d_output) d_share += row_dot<kGroup>(d_output, h, width, aligned);
    const float d_next = args.d_cumulative_out ? args.d_cumulative_out[n] : 0.0f;
    const float d_remainder = args.d_remainder ? args.d_remainder[n] : 0.0f;
    const float p = args.p[n], cumulative = args.cumulative[n], running = args.running[n];
    const bool ends = args.last || cumulative + p >= args.threshold;
    const float share = (ends ? fmaxf(1.0f - cumulative, 0.0f) : p) * running;
    const float d_rest = ends && cumulative <= 1.0f ? (d_share + d_remainder) * running : 0.0f;
    const float d_p = (ends ? 0.0f : d_share * running) + d_next * running;
    const float d_z = d_p * p * (1.0f - p);
    if (threadIdx.x % kGroup == 0) {
      args.d_z[n] = d_z;
      args.d_cumulative[n] = d_next - d_rest;
    }
    for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N], w[N], d[N] = {}, sums[N];
      load_n<N>(h + i, x);
      load_n<N>(args.weight + i, w);
      load_n<N>(d_weight + i, sums);
      if (d_output) load_n<N>(d_output + i, d);
      for (int j = 0; j < N; ++j) {
        sums[j] += d_z * x[j];
        d[j] = d[j] * share + d_z * w[j];
      }
      store_n<N>(d_weight + i, sums);
      store_n<N>(args.d_h + n * width + i, d);
    });
  }
  finish_accumulators<kGroup>(shared, partial, width);
}

template <int kGroup>
int backward(const HaltingBackward& args, void* stream) {
  const bool aligned =
      aligned_rows({args.h, args.weight, args.d_output, args.d_h, args.partial}, {args.width});
  return launch(backward_kernel<kGroup>, dim3(static_cast<unsigned>(args.partials)),
                accumulator_bytes<kGroup>(args.width), stream, args, aligned);
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_halting_forward(const mythos::HaltingForward* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  const bool warp = warp_rows(args->width);
  return launch(
      warp ? forward_kernel<kWarp> : forward_kernel<kThreads>, row_blocks(args->rows, warp), 0,
      stream, *args,
      aligned_rows({args->h, args->weight, args->output, args->output_out}, {args->width}));
}

extern "C" int mythos_cuda_halting_backward(const mythos::HaltingBackward* args, void* stream) {
  using namespace mythos;
  const int status =
      warp_rows(args->width) ? backward<kWarp>(*args, stream) : backward<kThreads>(*args, stream);
  return status != 0
             ? status
             : add_partials(args->partial, args->d_weight, args->partials, args->width, stream);
}
