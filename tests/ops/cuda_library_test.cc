#include "device/cuda_library.h"

#include <gtest/gtest.h>

namespace mythos {
namespace {

struct Nothing {};

TEST(CudaLibrary, KernelThatAnOlderLibraryLacksIsOneClearError) {
  try {
    const CudaKernel<Nothing> kernel("mythos_cuda_of_tomorrow");
    FAIL() << "a kernel that is nowhere";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resources);
    EXPECT_EQ(error.message(), "libmythos_cuda.so has no kernel mythos_cuda_of_tomorrow");
    EXPECT_FALSE(error.advice().empty());
  }
}

}  // namespace
}  // namespace mythos
