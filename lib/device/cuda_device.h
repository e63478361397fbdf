#pragma once
#include <cstdint>
#include <type_traits>

#include "device/number_type.h"

// What the .cu files share: number types, loads of 16 bytes, sums over the threads of a row, and
// the launch. The tests compile the same files as C++ over an emulation of blocks and threads, so
// that the kernels run where there is no device.
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define MYTHOS_DYNAMIC_SHARED(name) extern __shared__ __align__(16) float name[]
#define MYTHOS_SHARED(name, ...) __shared__ __align__(16)::mythos::Plain<__VA_ARGS__> name
#else
#include "cuda_emulation.h"
#endif

namespace mythos {

constexpr int kThreads = 256;  // threads of a block
constexpr int kWarp = 32;
// Numbers that a thread moves at once: 16 bytes of bf16 or fp16, 32 of fp32.
constexpr int kChunk = 8;

// MYTHOS_SHARED(name, T) declares a T in a block's shared memory.
template <class T>
using Plain = T;

struct Bf16 {
  uint16_t bits;
};
struct Fp16 {
  uint16_t bits;
};

#ifdef __CUDACC__
__device__ inline uint16_t bf16_bits(float x) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(x));
}
__device__ inline uint16_t fp16_bits(float x) {
  return __half_as_ushort(__float2half_rn(x));
}
__device__ inline float fp16_value(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
__device__ inline float fast_exp(float x) {
  return __expf(x);
}
#endif

__device__ inline float load(float x) {
  return x;
}
__device__ inline float load(Bf16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}
__device__ inline float load(Fp16 x) {
  return fp16_value(x.bits);
}
template <class T>
__device__ inline T as(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else if constexpr (std::is_same_v<T, Bf16>)
    return T{bf16_bits(x)};
  else
    return T{fp16_bits(x)};
}

// f() of a number of the type, whose value says nothing.
template <class F>
int with_type(NumberType type, F f) {
  switch (type) {
    case NumberType::bf16:
      return f(Bf16{});
    case NumberType::fp16:
      return f(Fp16{});
    case NumberType::fp32:
      break;
  }
  return f(0.0f);
}

template <int N>
using Count = std::integral_constant<int, N>;

template <class T>
struct alignas(16) Chunk {
  T at[kChunk];
};

// `from` as a pointer to a V, by whose alignment it lies: a device ends a kernel that accesses a
// vector of 16 bytes elsewhere.
template <class V, class T>
__device__ inline V* vector_at(T* from) {
#ifndef __CUDACC__
  emulation::check_aligned(from, alignof(V));
#endif
  return reinterpret_cast<V*>(from);
}

template <int N, class T>
__device__ inline void load_n(const T* from, float (&to)[N]) {
  if constexpr (N == 1) {
    to[0] = load(*from);
  } else {
    const Chunk<T> chunk = *vector_at<const Chunk<T>>(from);
#pragma unroll
    for (int j = 0; j < N; ++j) to[j] = load(chunk.at[j]);
  }
}
template <int N, class T>
__device__ inline void store_n(T* to, const float (&from)[N]) {
  if constexpr (N == 1) {
    *to = as<T>(from[0]);
  } else {
    Chunk<T> chunk;
#pragma unroll
    for (int j = 0; j < N; ++j) chunk.at[j] = as<T>(from[j]);
    *vector_at<Chunk<T>>(to) = chunk;
  }
}

// A row belongs to a group of threads: a warp (kGroup = 32) or the block (kGroup = 256). A kernel
// takes rows group_index(), + group_count(), …, so that all threads of a group meet at its sums.
template <int kGroup>
__device__ inline int64_t group_index() {
  return (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kGroup;
}
template <int kGroup>
__device__ inline int64_t group_count() {
  return int64_t{gridDim.x} * (kThreads / kGroup);
}

// f(Count<N>, column) for this thread's share of a row, N = 8 columns at a time where rows are
// `aligned`, else one by one. A thread gets the same columns at each call.
template <int kGroup, class F>
__device__ inline void for_columns(int64_t width, bool aligned, F f) {
  const int lane = threadIdx.x % kGroup;
  if (aligned) {
    for (int64_t i = int64_t{lane} * kChunk; i < width; i += kGroup * kChunk) f(Count<kChunk>{}, i);
  } else {
    for (int64_t i = lane; i < width; i += kGroup) f(Count<1>{}, i);
  }
}

__device__ inline float warp_sum(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(0xffffffffu, x, mask);
  return x;
}

// The sum over the group, for each of its threads, always added in the same order.
template <int kGroup>
__device__ inline float group_sum(float x) {
  x = warp_sum(x);
  if constexpr (kGroup == kWarp) return x;
  MYTHOS_SHARED(part, float[kThreads / kWarp]);
  if (threadIdx.x % kWarp == 0) part[threadIdx.x / kWarp] = x;
  __syncthreads();
  float total = 0;
  for (int w = 0; w < kThreads / kWarp; ++w) total += part[w];
  __syncthreads();
  return total;
}
template <int kGroup>
__device__ inline float group_max(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, mask));
  }
  if constexpr (kGroup == kWarp) return x;
  MYTHOS_SHARED(part, float[kThreads / kWarp]);
  if (threadIdx.x % kWarp == 0) part[threadIdx.x / kWarp] = x;
  __syncthreads();
  float most = part[0];
  for (int w = 1; w < kThreads / kWarp; ++w) most = fmaxf(most, part[w]);
  __syncthreads();
  return most;
}

// Whether rows may be read 8 numbers at a time. A null pointer is an operand that is not there.
inline bool aligned_rows(std::initializer_list<const void*> rows,
                         std::initializer_list<int64_t> widths_and_strides) {
  for (const void* row : rows) {
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) return false;
  }
  for (const int64_t width : widths_and_strides) {
    if (width % kChunk != 0) return false;
  }
  return true;
}

// A warp has eight numbers for each lane at most four times over a row of this width.
inline bool warp_rows(int64_t width) {
  return width <= kWarp * kChunk * 4;
}
// Blocks for one group a row; a kernel goes through more rows than there are groups.
inline dim3 row_blocks(int64_t rows, bool warp) {
  const int64_t groups = warp ? kThreads / kWarp : 1, blocks = (rows + groups - 1) / groups;
  return dim3(static_cast<unsigned>(blocks < (1 << 20) ? blocks : 1 << 20));
}

// Starts a kernel; the result is a cudaError_t.
template <class... P>
int launch(void (*kernel)(P...), dim3 blocks, unsigned shared_bytes, void* stream,
           std::common_type_t<P>... args) {
#ifdef __CUDACC__
  kernel<<<blocks, kThreads, shared_bytes, static_cast<cudaStream_t>(stream)>>>(args...);
  return cudaGetLastError();
#else
  return emulation::launch([=] { kernel(args...); }, blocks, kThreads, shared_bytes);
#endif
}

}  // namespace mythos
