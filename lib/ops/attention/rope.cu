// Rotary embedding on CUDA. A row is one position: its heads share the angles.
#include "device/cuda_device.h"
#include "ops/attention/rope_device.h"

namespace mythos {
namespace {

template <class T, int kGroup>
__global__ void rope_kernel(Rope args, bool aligned) {
  const int64_t row_width = args.heads * args.width, kept = args.width - 2 * args.pairs;
  for (int64_t n = group_index<kGroup>(); n < args.batch * args.length;
       n += group_count<kGroup>()) {
    const int64_t b = n / args.length, s = n % args.length;
    const T* x = static_cast<const T*>(args.x) + b * args.batch_stride + s * args.position_stride;
    T* out = static_cast<T*>(args.out) + n * row_width;
    const float* cos = args.cos + s * args.pairs;
    const float* sin = args.sin + s * args.pairs;
    for_columns<kGroup>(row_width, aligned, [&](auto count, int64_t i) {
      constexpr int N = decltype(count)::value;
      const int64_t channel = i % args.width - kept;  // below 0: passes unchanged
      float from[N];
      load_n<N>(x + i, from);
      if (channel >= 0 && args.halves) {
        const bool second = channel >= args.pairs;
        const int64_t pair = second ? channel - args.pairs : channel;
        float other[N];
        load_n<N>(second ? x + i - args.pairs : x + i + args.pairs, other);
        for (int j = 0; j < N; ++j) {
          const float c = cos[pair + j], turn = sin[pair + j] * args.direction;
          from[j] = second ? other[j] * turn + from[j] * c : from[j] * c - other[j] * turn;
        }
      } else if (channel >= 0) {
        if constexpr (N == 1) {
          const float c = cos[channel / 2], turn = sin[channel / 2] * args.direction;
          const bool odd = channel % 2 != 0;
          const float other = load(x[odd ? i - 1 : i + 1]);
          from[0] = odd ? other * turn + from[0] * c : from[0] * c - other * turn;
        } else {
          for (int j = 0; j < N; j += 2) {
            const float a = from[j], z = from[j + 1];
            const float c = cos[(channel + j) / 2], turn = sin[(channel + j) / 2] * args.direction;
            from[j] = a * c - z * turn;
            from[j + 1] = a * turn + z * c;
          }
        }
      }
      store_n<N>(out + i, from);
    });
  }
}

template <class T>
int rotate(const Rope& args, void* stream) {
  // A chunk lies in one head and either turns whole or passes whole; of halves, it lies in one.
  const int64_t turned = args.halves ? args.pairs : 2 * args.pairs;
  const bool aligned = aligned_rows({args.x, args.out},
                                    {args.width, turned, args.batch_stride, args.position_stride});
  const bool warp = warp_rows(args.heads * args.width);
  return launch(warp ? rope_kernel<T, kWarp> : rope_kernel<T, kThreads>,
                row_blocks(args.batch * args.length, warp), 0, stream, args, aligned);
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_rope(const mythos::Rope* args, void* stream) {
  using namespace mythos;
  if (args->batch * args->length * args->heads == 0) return 0;
  return with_type(args->type, [=](auto one) { return rotate<decltype(one)>(*args, stream); });
}
