#include "device/cuda_partials.h"

#include <gtest/gtest.h>

namespace mythos {
namespace {

// A block is given 48 KiB of shared memory in all: the accumulators, and what the kernels declare,
// of which group_sum() has eight numbers.
TEST(CudaPartials, AccumulatorsLeaveRoomForDeclaredSharedMemory) {
  for (int64_t width = 1; width <= 70000; ++width) {
    ASSERT_LE(accumulator_bytes<kWarp>(width) + 32, 48u << 10) << width;
    ASSERT_LE(accumulator_bytes<kThreads>(width) + 32, 48u << 10) << width;
  }
}

TEST(CudaPartials, WideRowsAreSummedInGlobalMemory) {
  EXPECT_EQ(accumulator_bytes<kThreads>(12288), 0u);
  EXPECT_EQ(accumulator_bytes<kThreads>(12000), 48000u);
  EXPECT_EQ(accumulator_bytes<kWarp>(1024), 32u << 10);
}

}  // namespace
}  // namespace mythos
