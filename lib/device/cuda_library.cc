#include "device/cuda_library.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include "base/log.h"
#include "base/plugin.h"
#include "device/device.h"

namespace mythos {
namespace {

void* open_kernels() {
  const std::filesystem::path file = find_plugin("libmythos_cuda.so");
  if (file.empty()) return nullptr;
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    log_warning(std::string("the CUDA kernels do not load, plain operations are used: ") +
                dlerror());
  }
  return handle;
}

void* kernels() {
  static void* const handle = open_kernels();
  return handle;
}

}  // namespace

void* cuda_kernel(const char* name) {
  return kernels() ? dlsym(kernels(), name) : nullptr;
}

void* cuda_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

Backend backend_of(const at::Tensor& x) {
  if (x.is_cpu()) return x.scalar_type() == at::kHalf ? Backend::plain : Backend::cpu;
  return has_bf16_cores(x.device()) && kernels() ? Backend::cuda : Backend::plain;
}

}  // namespace mythos
