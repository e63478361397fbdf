#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>

// Enough of CUDA to compile lib/kernels/*.cu as C++ and run them on the CPU. Each thread of a block
// is a fiber with a stack of its own, which runs until it meets the others at a barrier or a
// shuffle; blocks run one after the other. Odd blocks take their threads in reverse order, so that
// a barrier that is missing shows. A barrier that some threads never reach ends the program.
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define MYTHOS_DYNAMIC_SHARED(name) float* const name = emulation::dynamic_shared()

struct dim3 {
  unsigned x, y, z;
  explicit dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
extern dim3 threadIdx, blockIdx, gridDim;

void __syncthreads();

namespace emulation {

// Aligned to 16 bytes, and NaN when a block starts.
float* dynamic_shared();
// Runs body() for each thread of each block; returns 0, the success of a cudaError_t.
int launch(const std::function<void()>& body, dim3 blocks, int threads, unsigned shared_bytes);
// What lane `from` of this thread's warp passes, for all lanes at once.
uint32_t exchange(uint32_t value, int from);

template <class T>
T shuffle(T value, int from) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = exchange(bits, from);
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}
inline int lane() {
  return static_cast<int>(threadIdx.x % 32);
}

}  // namespace emulation

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::shuffle(value, emulation::lane() ^ mask);
}
template <class T>
T __shfl_up_sync(unsigned, T value, int step) {
  return emulation::shuffle(
      value, emulation::lane() < step ? emulation::lane() : emulation::lane() - step);
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return emulation::shuffle(value, from);
}

inline float __uint_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

namespace mythos {

// Round to nearest even; a NaN stays one.
inline uint16_t bf16_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return 0x7fff;
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
inline float fast_exp(float x) {
  return std::exp(x);
}

}  // namespace mythos
