// Routed experts on CUDA: the sort of slots by expert, the gathering of rows in that order and the
// sum of each token's rows. No atomics: every result is added in a fixed order.
#include "device/cuda_device.h"
#include "ops/moe/moe_device.h"

namespace mythos {
namespace {

// The experts of a chunk's slots, -1 beyond the last slot.
__device__ inline void load_chunk(const MoeRoute& args, int64_t chunk, int32_t* expert) {
  for (int i = threadIdx.x; i < kRouteChunk; i += kThreads) {
    const int64_t slot = chunk * kRouteChunk + i;
    expert[i] = slot < args.slots ? static_cast<int32_t>(args.experts[slot]) : -1;
  }
  __syncthreads();
}

// counts[e][chunk]: block = chunk.
__global__ void count_kernel(MoeRoute args) {
  MYTHOS_SHARED(expert, int32_t[kRouteChunk]);
  load_chunk(args, blockIdx.x, expert);
  for (int64_t e = threadIdx.x; e < args.groups; e += kThreads) {
    int32_t count = 0;
    for (int i = 0; i < kRouteChunk; ++i) count += expert[i] == e;
    args.counts[e * args.chunks + blockIdx.x] = count;
  }
}

// counts[e][chunk] ← slots of e in earlier chunks; totals[e]. A warp an expert.
__global__ void scan_kernel(MoeRoute args) {
  const int lane = threadIdx.x % kWarp;
  const int64_t e = group_index<kWarp>();
  if (e >= args.groups) return;
  int32_t* counts = args.counts + e * args.chunks;
  int32_t before = 0;
  for (int64_t begin = 0; begin < args.chunks; begin += kWarp) {
    const bool inside = begin + lane < args.chunks;
    const int32_t own = inside ? counts[begin + lane] : 0;
    int32_t sum = own;  // of lanes up to this one
    for (int step = 1; step < kWarp; step *= 2) {
      const int32_t other = __shfl_up_sync(0xffffffffu, sum, step);
      if (lane >= step) sum += other;
    }
    if (inside) counts[begin + lane] = before + sum - own;
    before += __shfl_sync(0xffffffffu, sum, kWarp - 1);
  }
  if (lane == 0) args.totals[e] = before;
}

// Block = chunk: a slot's place is its expert's begin, plus the expert's slots in earlier chunks,
// plus those before it in this one.
__global__ void place_kernel(MoeRoute args) {
  MYTHOS_SHARED(expert, int32_t[kRouteChunk]);
  load_chunk(args, blockIdx.x, expert);
  for (int i = threadIdx.x; i < kRouteChunk; i += kThreads) {
    const int32_t e = expert[i];
    if (e < 0) break;
    int32_t before = 0;
    for (int j = 0; j < i; ++j) before += expert[j] == e;
    const int64_t begin = e == 0 ? 0 : args.ends[e - 1];
    const int64_t place = begin + args.counts[e * args.chunks + blockIdx.x] + before;
    const int64_t slot = int64_t{blockIdx.x} * kRouteChunk + i;
    args.order[place] = slot;
    args.place[slot] = place;
  }
}

__global__ void ends_kernel(MoeRoute args) {
  const int64_t e = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (e >= args.groups) return;
  int32_t end = 0;
  for (int64_t other = 0; other <= e; ++other) end += args.totals[other];
  args.ends[e] = end;
}

template <class T, int kGroup>
__global__ void gather_kernel(MoeGather args, bool aligned) {
  for (int64_t i = group_index<kGroup>(); i < args.rows; i += group_count<kGroup>()) {
    const int64_t slot = args.slot[i];
    const T* from = static_cast<const T*>(args.from) + (args.k ? slot / args.k : i) * args.width;
    T* to = static_cast<T*>(args.to) + (args.place ? args.place[slot] : i) * args.width;
    for_columns<kGroup>(args.width, aligned, [&](auto count, int64_t c) {
      constexpr int N = decltype(count)::value;
      float x[N];
      load_n<N>(from + c, x);
      store_n<N>(to + c, x);
    });
  }
}

template <class T, int kGroup>
__global__ void combine_kernel(MoeCombine args, bool aligned) {
  for (int64_t n = group_index<kGroup>(); n < args.rows; n += group_count<kGroup>()) {
    const int64_t* place = args.place + n * args.k;
    T* to = static_cast<T*>(args.to) + n * args.width;
    for_columns<kGroup>(args.width, aligned, [&](auto count, int64_t c) {
      constexpr int N = decltype(count)::value;
      float sum[N] = {};
      for (int64_t j = 0; j < args.k; ++j) {
        float x[N];
        load_n<N>(static_cast<const T*>(args.from) + place[j] * args.width + c, x);
        for (int i = 0; i < N; ++i) sum[i] += x[i];
      }
      store_n<N>(to + c, sum);
    });
  }
}

template <class Args>
int move_rows(void (*warp_kernel)(Args, bool), void (*block_kernel)(Args, bool), const Args& args,
              void* stream) {
  const bool warp = warp_rows(args.width);
  return launch(warp ? warp_kernel : block_kernel, row_blocks(args.rows, warp), 0, stream, args,
                aligned_rows({args.from, args.to}, {args.width}));
}

unsigned blocks_for(int64_t count, int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_moe_route(const mythos::MoeRoute* args, void* stream) {
  using namespace mythos;
  const dim3 chunks(static_cast<unsigned>(args->chunks));
  int status = args->slots > 0 ? launch(count_kernel, chunks, 0, stream, *args) : 0;
  if (status == 0) {
    status =
        launch(scan_kernel, dim3(blocks_for(args->groups, kThreads / kWarp)), 0, stream, *args);
  }
  if (status == 0) {
    status = launch(ends_kernel, dim3(blocks_for(args->groups, kThreads)), 0, stream, *args);
  }
  if (status != 0 || args->slots == 0) return status;
  return launch(place_kernel, chunks, 0, stream, *args);
}

extern "C" int mythos_cuda_moe_gather(const mythos::MoeGather* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_type(args->type, [=](auto one) {
    using T = decltype(one);
    return move_rows(gather_kernel<T, kWarp>, gather_kernel<T, kThreads>, *args, stream);
  });
}

extern "C" int mythos_cuda_moe_combine(const mythos::MoeCombine* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0) return 0;
  return with_type(args->type, [=](auto one) {
    using T = decltype(one);
    return move_rows(combine_kernel<T, kWarp>, combine_kernel<T, kThreads>, *args, stream);
  });
}
