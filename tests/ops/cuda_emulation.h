#pragma once
#include <c10/util/Half.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

// Enough of CUDA to compile the .cu files of lib/ops as C++ and run them on the CPU, no more
// lenient than a device is. Each thread of a block is a fiber with a stack of its own, which runs
// until it meets the others at a barrier or a shuffle; blocks run one after the other. The order of
// blocks and of threads between two barriers is drawn at random. What a device refuses or leaves
// undefined is a fault: it ends the launch, whose status tells it.
#define __global__
#define __device__
#define __host__
#define __shared__ static_assert(false, "shared memory is declared with MYTHOS_SHARED(name, type)");
#define MYTHOS_SHARED(name, ...) auto& name = emulation::shared<__VA_ARGS__>([] {})
#define MYTHOS_DYNAMIC_SHARED(name) float* const name = emulation::dynamic_shared()

struct dim3 {
  unsigned x, y, z;
  explicit dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
extern dim3 threadIdx, blockIdx, gridDim;

namespace emulation {

// A line of a kernel's source. std::source_location would do, were it known to clang 14.
struct SourceLine {
  const char* file;
  unsigned line;
};
// Parameters that are the caller's line where nothing is passed.
#define MYTHOS_CALLERS_LINE const char *file = __builtin_FILE(), unsigned line = __builtin_LINE()

}  // namespace emulation

void __syncthreads(MYTHOS_CALLERS_LINE);

namespace emulation {

// Numbers of cudaError_t.
constexpr int kInvalidValue = 1, kInvalidConfiguration = 9, kMisalignedAddress = 716,
              kLaunchFailure = 719;
constexpr unsigned kSharedBytes = 48 << 10;  // of a block, static and dynamic together

// Runs body() for each thread of each block. The result is 0 or the status of the first fault.
int launch(const std::function<void()>& body, dim3 blocks, int threads, unsigned shared_bytes);
// From now on launches run only this block, or every block if none is given.
void run_only(std::optional<dim3> block);
// What the faults since the last call were, in words. A test that ends with some has failed.
std::vector<std::string> take_faults();

// The order that launches take from now on. Each test begins with MYTHOS_EMULATION_SEED, or else
// with a random number that is printed when the test fails.
void set_seed(uint64_t seed);

// Shared memory is aligned to 16 bytes, and each number of it is a NaN (of fp32, bf16 and fp16
// alike) when a block starts. AddressSanitizer knows where each variable ends.
float* dynamic_shared();
void* shared_variable(const void* id, size_t bytes);
template <class T, class Site>
T& shared(Site) {
  static_assert(std::is_trivially_default_constructible_v<T>);
  static const char id = 0;  // one for each place in the source that declares shared memory
  return *static_cast<T*>(shared_variable(&id, sizeof(T)));
}

// A fault unless the address is a multiple of the alignment.
void check_aligned(const void* address, size_t alignment);

// What lane `from` of this thread's warp passes, for all lanes at once.
uint32_t exchange(unsigned mask, uint32_t value, int from, SourceLine where);

template <class T>
T shuffle(unsigned mask, T value, int from, SourceLine where) {
  static_assert(sizeof(T) == sizeof(uint32_t));
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = exchange(mask, bits, from, where);
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}
inline int lane() {
  return static_cast<int>(threadIdx.x % 32);
}

}  // namespace emulation

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, MYTHOS_CALLERS_LINE) {
  return emulation::shuffle(mask, value, emulation::lane() ^ lanes, {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int step, MYTHOS_CALLERS_LINE) {
  const int lane = emulation::lane();
  return emulation::shuffle(mask, value, lane < step ? lane : lane - step, {file, line});
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, MYTHOS_CALLERS_LINE) {
  return emulation::shuffle(mask, value, from, {file, line});
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
inline uint16_t fp16_bits(float x) {
  return c10::Half(x).x;
}
inline float fp16_value(uint16_t bits) {
  return c10::Half(bits, c10::Half::from_bits());
}
inline float fast_exp(float x) {
  return std::exp(x);
}

}  // namespace mythos
