// Cross-entropy on CUDA: one read of the logits forward (largest and sum go along together), one
// read and one write backward.
#include "device/cuda_device.h"
#include "ops/loss/cross_entropy_device.h"

namespace mythos {
namespace {

template <class T, int kGroup>
__global__ void forward_kernel(CrossEntropyForward args, bool aligned) {
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const T* row = static_cast<const T*>(args.logits) + n * args.width;
    float most = -INFINITY, sum = 0;  // of this thread: sum = Σ exp(x - most)
    for_columns<kGroup>(args.width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N];
      load_n<N>(row + i, x);
      float larger = most;
      for (int j = 0; j < N; ++j) larger = fmaxf(larger, x[j]);
      const float base = larger == -INFINITY ? 0.0f : larger;  // nothing but -inf so far
      if (larger > most) sum *= fast_exp(most - base);
      for (int j = 0; j < N; ++j) sum += fast_exp(x[j] - base);
      most = larger;
    });
    const float peak = group_max<kGroup>(most);
    const float base = peak == -INFINITY ? 0.0f : peak;
    const float total = group_sum<kGroup>(most == -INFINITY ? sum : sum * fast_exp(most - base));
    if (threadIdx.x % kGroup == 0) {
      const float log_sum = base + logf(total);
      const int64_t target = args.targets[n];
      args.log_sum[n] = log_sum;
      args.loss[n] = target < 0 ? 0.0f : log_sum - load(row[target]);
    }
  }
}

template <class T, int kGroup>
__global__ void backward_kernel(CrossEntropyBackward args, bool aligned) {
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    T* row = static_cast<T*>(args.logits) + n * args.width;
    const int64_t target = args.targets[n];
    const float d = args.d_loss[n], log_sum = args.log_sum[n];
    for_columns<kGroup>(args.width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      float x[N];
      if (target < 0) {
        for (int j = 0; j < N; ++j) x[j] = 0;
      } else {
        load_n<N>(row + i, x);
        for (int j = 0; j < N; ++j) {
          const float p = fast_exp(x[j] - log_sum);
          x[j] = (i + j == target ? p - 1.0f : p) * d;
        }
      }
      store_n<N>(row + i, x);
    });
  }
}

template <class T>
int forward(const CrossEntropyForward& args, void* stream) {
  const bool warp = warp_rows(args.width);
  return launch(warp ? forward_kernel<T, kWarp> : forward_kernel<T, kThreads>,
                row_blocks(args.rows, warp), 0, stream, args,
                aligned_rows({args.logits}, {args.width}));
}

template <class T>
int backward(const CrossEntropyBackward& args, void* stream) {
  const bool warp = warp_rows(args.width);
  return launch(warp ? backward_kernel<T, kWarp> : backward_kernel<T, kThreads>,
                row_blocks(args.rows, warp), 0, stream, args,
                aligned_rows({args.logits}, {args.width}));
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_cross_entropy_forward(const mythos::CrossEntropyForward* args,
                                                 void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_type(args->type, [=](auto one) { return forward<decltype(one)>(*args, stream); });
}

extern "C" int mythos_cuda_cross_entropy_backward(const mythos::CrossEntropyBackward* args,
                                                  void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_type(args->type, [=](auto one) { return backward<decltype(one)>(*args, stream); });
}
