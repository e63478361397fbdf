#include "device/cuda_error.h"

#include <dlfcn.h>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

// The numbers are CUDA's; they do not change.
constexpr int kMemoryAllocation = 2, kNoKernelImage = 209, kIllegalAddress = 700,
              kLaunchFailed = 719;

// CUDA's own words; LibTorch's CUDA half brings its runtime library along.
std::string text_of(int status) {
  using GetErrorString = const char*(int status);
  const auto get = reinterpret_cast<GetErrorString*>(dlsym(RTLD_DEFAULT, "cudaGetErrorString"));
  return get ? strprintf("%s (CUDA error %d)", get(status), status)
             : strprintf("CUDA error %d", status);
}

std::string advice_on(int status) {
  switch (status) {
    case kMemoryAllocation:
      return "A smaller batch or fewer loops take less memory of the device";
    case kNoKernelImage:
      return "The CUDA kernels were built for other devices: name this one's architecture in "
             "CMAKE_CUDA_ARCHITECTURES, or use --device cpu";
    case kIllegalAddress:
    case kLaunchFailed:
      return "An earlier kernel may be the cause: CUDA_LAUNCH_BLOCKING=1 names it";
    default:
      return "";
  }
}

}  // namespace

void fail_cuda(int status, const char* kernel) {
  fail(ErrorKind::resources, text_of(status) + " in " + kernel, advice_on(status));
}

}  // namespace mythos
