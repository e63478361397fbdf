#pragma once
#include "device/cuda_device.h"

// For the .cu files: sums over rows for each column, as the gradients of weights need. Each block
// sums its rows, and sum_partials() adds the blocks' sums.
namespace mythos {

// out[i] = Σ_p partial[p·width + i], in the order of p within each of eight strands. Block: 32
// columns by 8 strands.
static __global__ void sum_partials(const float* partial, float* out, int64_t partials,
                                    int64_t width) {
  MYTHOS_SHARED(strands, float[kThreads / kWarp][kWarp]);
  const int lane = threadIdx.x % kWarp, strand = threadIdx.x / kWarp;
  const int64_t column = int64_t{blockIdx.x} * kWarp + lane;
  float sum = 0;
  if (column < width) {
    for (int64_t p = strand; p < partials; p += kThreads / kWarp)
      sum += partial[p * width + column];
  }
  strands[strand][lane] = sum;
  __syncthreads();
  if (strand != 0 || column >= width) return;
  float total = 0;
  for (int s = 0; s < kThreads / kWarp; ++s) total += strands[s][lane];
  out[column] = total;
}

inline int add_partials(const float* partial, float* out, int64_t partials, int64_t width,
                        void* stream) {
  return launch(sum_partials, dim3(static_cast<unsigned>((width + kWarp - 1) / kWarp)), 0, stream,
                partial, out, partials, width);
}

// Per-column sums of a block over its rows, one accumulator row for each group: in shared memory
// where it fits, else straight in the block's row of `partial` (one group a block then).
// A block is given 48 KiB of shared memory without asking for more, and what a kernel declares of
// itself, as group_sum() does, counts too.
constexpr int64_t kSharedBytes = 48 << 10, kDeclaredBytes = 256;
constexpr int64_t kSharedNumbers = (kSharedBytes - kDeclaredBytes) / sizeof(float);

template <int kGroup>
inline unsigned accumulator_bytes(int64_t width) {
  const int64_t numbers = width * (kThreads / kGroup);
  return numbers <= kSharedNumbers ? static_cast<unsigned>(numbers * sizeof(float)) : 0u;
}

// This thread's accumulator row, with its columns set to zero.
template <int kGroup>
__device__ inline float* accumulators(float* shared, float* partial, int64_t width, bool aligned) {
  const bool fits = width * (kThreads / kGroup) <= kSharedNumbers;
  float* sums = fits ? shared + threadIdx.x / kGroup * width : partial;
  for_columns<kGroup>(width, aligned, [&](auto count, int64_t i) {
    for (int j = 0; j < decltype(count)::value; ++j) sums[i + j] = 0;
  });
  return sums;
}

// After the rows: the groups' accumulators are added into `partial`, the block's row.
template <int kGroup>
__device__ inline void finish_accumulators(const float* shared, float* partial, int64_t width) {
  constexpr int kGroups = kThreads / kGroup;
  if (width * kGroups > kSharedNumbers) return;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    float total = 0;
    for (int g = 0; g < kGroups; ++g) total += shared[g * width + i];
    partial[i] = total;
  }
}

}  // namespace mythos
