// What the emulation of CUDA finds: little kernels, each with one mistake.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>

#include "device/cuda_device.h"
#include "device/cuda_partials.h"

namespace mythos {
namespace {

using emulation::take_faults;

// The launch ends with `status` and one fault that has `words` in it.
void expect_fault(int got, int status, const std::string& words) {
  EXPECT_EQ(got, status);
  const std::vector<std::string> faults = take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_NE(faults[0].find(words), std::string::npos) << faults[0];
}

__global__ void copy_chunks(const float* from, float* to) {
  if (threadIdx.x > 1) return;
  float x[kChunk];
  load_n<kChunk>(from + threadIdx.x * kChunk, x);
  store_n<kChunk>(to + threadIdx.x * kChunk, x);
}

TEST(CudaEmulation, FindsMisalignedVectors) {
  alignas(16) float from[20] = {}, to[20];
  std::iota(from, from + 20, 0.0f);
  EXPECT_EQ(launch(copy_chunks, dim3(), 0, nullptr, from + 4, to), 0);
  EXPECT_EQ(to[15], 19.0f);
  expect_fault(launch(copy_chunks, dim3(), 0, nullptr, from + 1, to), emulation::kMisalignedAddress,
               "no multiple of 16");
  expect_fault(launch(copy_chunks, dim3(), 0, nullptr, from, to + 2), emulation::kMisalignedAddress,
               "no multiple of 16");
  // The emulation goes on after a fault.
  EXPECT_EQ(launch(copy_chunks, dim3(), 0, nullptr, from, to), 0);
  EXPECT_EQ(to[15], 15.0f);
}

__global__ void nothing() {}

__global__ void sum_with_dynamic_memory(float* out) {
  MYTHOS_DYNAMIC_SHARED(shared);
  shared[threadIdx.x] = 1;
  const float sum = group_sum<kThreads>(shared[threadIdx.x]);
  if (threadIdx.x == 0) *out = sum;
}

TEST(CudaEmulation, FindsTooMuchSharedMemory) {
  EXPECT_EQ(launch(nothing, dim3(), 49152, nullptr), 0);
  expect_fault(launch(nothing, dim3(), 49153, nullptr), emulation::kInvalidValue,
               "49153 bytes of dynamic");
  float sum = 0;
  EXPECT_EQ(launch(sum_with_dynamic_memory, dim3(), 49152 - 32, nullptr, &sum), 0);
  EXPECT_EQ(sum, 256.0f);
  expect_fault(launch(sum_with_dynamic_memory, dim3(), 49152 - 16, nullptr, &sum),
               emulation::kInvalidValue, "32 bytes of static and 49136 of dynamic");
}

TEST(CudaEmulation, FindsGridsThatNoDeviceTakes) {
  const auto status = [](dim3 blocks, int threads) {
    return emulation::launch(nothing, blocks, threads, 0);
  };
  EXPECT_EQ(status(dim3(1, 65535), 32), 0);
  EXPECT_EQ(status(dim3(1, 1, 65535), 32), 0);
  EXPECT_EQ(status(dim3(70000), 1), 0);
  EXPECT_EQ(status(dim3(), 1024), 0);
  for (const dim3& blocks :
       {dim3(1, 65536), dim3(1, 1, 65536), dim3(0x80000000u), dim3(0), dim3(1, 0), dim3(1, 1, 0)}) {
    expect_fault(status(blocks, 32), emulation::kInvalidConfiguration, "a grid of");
  }
  expect_fault(status(dim3(), 1025), emulation::kInvalidConfiguration, "1025 threads");
  expect_fault(status(dim3(), 0), emulation::kInvalidConfiguration, "0 threads");
}

// Each block's first number of both kinds of memory, which is then overwritten.
__global__ void read_unwritten(float* out) {
  MYTHOS_SHARED(numbers, float[kThreads]);
  MYTHOS_DYNAMIC_SHARED(shared);
  if (threadIdx.x != 0) return;
  out[2 * blockIdx.x] = numbers[3];
  out[2 * blockIdx.x + 1] = shared[3];
  numbers[3] = shared[3] = 1;
}
__global__ void read_unwritten_halves(Bf16* out) {
  MYTHOS_SHARED(numbers, Bf16[kThreads]);
  if (threadIdx.x < 2) out[threadIdx.x] = numbers[threadIdx.x];
}

TEST(CudaEmulation, SharedMemoryIsNotNumbersWhenABlockStarts) {
  float out[6] = {};
  EXPECT_EQ(launch(read_unwritten, dim3(3), 64, nullptr, out), 0);
  for (const float x : out) EXPECT_TRUE(std::isnan(x)) << x;
  Bf16 halves[2] = {};
  EXPECT_EQ(launch(read_unwritten_halves, dim3(), 0, nullptr, halves), 0);
  EXPECT_TRUE(std::isnan(load(halves[0])));
  EXPECT_TRUE(std::isnan(load(halves[1])));
}

__global__ void note_order(int* order, int* count) {
  order[(*count)++] = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
}

TEST(CudaEmulation, OrderOfThreadsAndBlocksIsThatOfTheSeed) {
  const auto order_of = [](uint64_t seed) {
    std::vector<int> order(4 * kThreads);
    int count = 0;
    emulation::set_seed(seed);
    EXPECT_EQ(launch(note_order, dim3(4), 0, nullptr, order.data(), &count), 0);
    EXPECT_EQ(count, 4 * kThreads);
    return order;
  };
  const std::vector<int> order = order_of(1);
  EXPECT_EQ(order_of(1), order);
  EXPECT_NE(order_of(2), order);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.begin() + kThreads));
  EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), order_of(2).begin()));
  bool first_differs = false;
  for (uint64_t seed = 1; seed < 10; ++seed) first_differs |= order_of(seed)[0] / kThreads != 0;
  EXPECT_TRUE(first_differs);
}

// A sum over the block whose parts are overwritten before every thread has read them.
template <bool kBarrier>
__global__ void two_sums(float* out) {
  MYTHOS_SHARED(part, float[kThreads / kWarp]);
  float total = 0;
  for (int round = 1; round <= 2; ++round) {
    const float x = warp_sum(static_cast<float>(round));
    if (threadIdx.x % kWarp == 0) part[threadIdx.x / kWarp] = x;
    __syncthreads();
    for (const float p : part) total += p;
    if (kBarrier) __syncthreads();
  }
  out[blockIdx.x * kThreads + threadIdx.x] = total;
}

TEST(CudaEmulation, AMissingBarrierShows) {
  const auto wrong = [](void (*kernel)(float*), int blocks) {
    std::vector<float> out(static_cast<size_t>(blocks) * kThreads);
    EXPECT_EQ(launch(kernel, dim3(static_cast<unsigned>(blocks)), 0, nullptr, out.data()), 0);
    return std::count_if(out.begin(), out.end(), [](float x) { return x != 256.0f + 512.0f; });
  };
  EXPECT_EQ(wrong(two_sums<true>, 8), 0);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    emulation::set_seed(seed);
    EXPECT_GT(wrong(two_sums<false>, 8), 0) << seed;
  }
}

__global__ void barrier_of_some(bool others_end) {
  if (threadIdx.x < 100) __syncthreads();
  if (others_end) return;
  __shfl_sync(0xffffffffu, 1.0f, 0);
}
__global__ void two_barriers() {
  if (threadIdx.x < 100) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST(CudaEmulation, FindsBarriersThatNotAllThreadsReach) {
  expect_fault(launch(barrier_of_some, dim3(), 0, nullptr, true), emulation::kLaunchFailure,
               "a barrier that 100 of 256 threads reach, at cuda_emulation_test.cc:");
  // Threads 96 to 99 are at the barrier, while the rest of their warp is at the shuffle.
  EXPECT_EQ(launch(barrier_of_some, dim3(), 0, nullptr, false), emulation::kLaunchFailure);
  const std::vector<std::string> faults = take_faults();
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_NE(faults[0].find("a barrier that 100 of 256"), std::string::npos) << faults[0];
  EXPECT_NE(faults[1].find("a shuffle that 28 of 32"), std::string::npos) << faults[1];
  expect_fault(launch(two_barriers, dim3(), 0, nullptr), emulation::kLaunchFailure,
               "threads wait for each other at");
}

__global__ void shuffle_of_some(unsigned mask, int from) {
  if (threadIdx.x % kWarp < 20) __shfl_sync(mask, 1.0f, from);
}
__global__ void shuffle_of_all(unsigned mask, int from) {
  __shfl_sync(mask, 1.0f, from);
}
__global__ void two_shuffles() {
  if (threadIdx.x % 2 == 0) {
    warp_sum(1);
  } else {
    __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  }
}

TEST(CudaEmulation, FindsShufflesWithLanesThatAreNotThere) {
  EXPECT_EQ(launch(shuffle_of_some, dim3(), 0, nullptr, 0xffffffffu, 0), emulation::kLaunchFailure);
  EXPECT_EQ(take_faults().size(), 8u);  // warps
  expect_fault(launch(shuffle_of_all, dim3(), 0, nullptr, 0xffffffffu, 32),
               emulation::kLaunchFailure, "from lane 32");
  expect_fault(launch(shuffle_of_all, dim3(), 0, nullptr, 0xfffffu, 0), emulation::kLaunchFailure,
               "mask 0xfffff");
  expect_fault(emulation::launch([] { shuffle_of_all(0xffffffffu, 9); }, dim3(), 40, 0),
               emulation::kLaunchFailure, "from lane 9");
  expect_fault(launch(two_shuffles, dim3(), 0, nullptr), emulation::kLaunchFailure,
               "threads wait for each other at");
}

// With the sanitizers' help.
class CudaEmulationDeath : public testing::Test {
  void SetUp() override {
#ifndef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the emulation is built without AddressSanitizer";
#endif
  }
};

__global__ void write_at(float* out, int i) {
  if (threadIdx.x == 7) out[i] = 1;
}
__global__ void write_static(int i) {
  MYTHOS_SHARED(numbers, float[5]);
  if (threadIdx.x == 7) *(&numbers[0] + i) = 1;
}
__global__ void write_dynamic(int i) {
  MYTHOS_DYNAMIC_SHARED(shared);
  if (threadIdx.x == 7) shared[i] = 1;
}

TEST_F(CudaEmulationDeath, FindsAccessesOutOfBounds) {
  const auto out = std::make_unique<float[]>(4);
  EXPECT_EQ(launch(write_at, dim3(), 0, nullptr, out.get(), 3), 0);
  EXPECT_DEATH(launch(write_at, dim3(), 0, nullptr, out.get(), 4),
               "heap-buffer-overflow.*(.|\n)*MYTHOS_EMULATION_SEED=[0-9]+; block .0, 0, 0., "
               "thread 7");
  EXPECT_EQ(launch(write_static, dim3(), 0, nullptr, 4), 0);
  EXPECT_DEATH(launch(write_static, dim3(), 0, nullptr, 5), "use-after-poison");
  EXPECT_EQ(launch(write_dynamic, dim3(), 64, nullptr, 15), 0);
  EXPECT_DEATH(launch(write_dynamic, dim3(), 64, nullptr, 16), "use-after-poison");
}

__global__ void multiply(int a, int b, int* out) {
  if (threadIdx.x == 0) *out = a * b;
}
__global__ void write_number(void* out) {
  if (threadIdx.x == 0) *static_cast<int64_t*>(out) = 1;
}

TEST_F(CudaEmulationDeath, FindsOverflowsAndMisalignedNumbers) {
  int out[4];
  EXPECT_EQ(launch(multiply, dim3(), 0, nullptr, 1 << 15, 1 << 15, out), 0);
  EXPECT_DEATH(launch(multiply, dim3(), 0, nullptr, 1 << 16, 1 << 16, out),
               "signed integer overflow");
  alignas(8) char bytes[16];
  EXPECT_EQ(launch(write_number, dim3(), 0, nullptr, bytes + 8), 0);
  EXPECT_DEATH(launch(write_number, dim3(), 0, nullptr, bytes + 4), "misaligned address");
}

TEST_F(CudaEmulationDeath, FreshMemoryIsNotNumbers) {
  const std::unique_ptr<float[]> fresh(new float[100000]);
  EXPECT_TRUE(std::isnan(fresh[0]) && std::isnan(fresh[99999])) << fresh[0];
}

}  // namespace
}  // namespace mythos
