#include "kernels/device.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <dlfcn.h>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "kernels/bf16_products.h"

namespace mythos {
namespace {

// LibTorch registers its CUDA half when the library is loaded. Only processes that use a device pay
// for that, and a machine without a driver never tries.
bool load_torch_cuda() {
  static const bool loaded = [] {
    if (!dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL)) return false;
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return true;
    log_debug(std::string("LibTorch's CUDA half does not load: ") + dlerror());
    return false;
  }();
  return loaded;
}

int64_t cuda_devices() {
  if (!load_torch_cuda()) return 0;
  return at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
}

}  // namespace

at::Device resolve_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return cuda_devices() > 0 ? at::Device(at::kCUDA, 0) : at::kCPU;
  std::optional<int64_t> index;
  if (name == "cuda") index = 0;
  if (name.starts_with("cuda:")) index = parse_int(name.substr(5));
  if (!index || *index < 0) {
    fail(ErrorKind::usage, "device '" + name + "' is not one of auto, cpu, cuda, cuda:N");
  }
  const int64_t count = cuda_devices();
  if (*index >= count) {
    fail(ErrorKind::resources,
         strprintf("device %s: this machine offers %lld CUDA devices. Use --device cpu or auto.",
                   name.c_str(), static_cast<long long>(count)));
  }
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(*index));
}

void use_deterministic_operators() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  // Every kernel writes all of its result: filling it first would only take time.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setBenchmarkCuDNN(false);
}

at::ScalarType resolve_compute_type(ComputeType type, at::Device device) {
  if (type == ComputeType::tf32) {
    if (!device.is_cuda()) {
      fail(ErrorKind::usage,
           "compute type tf32: a mode of CUDA devices, and the device is the CPU.",
           "Choose fp32 or bf16");
    }
    at::globalContext().setAllowTF32CuBLAS(true);
    return at::kFloat;
  }
  if (type == ComputeType::fp32) return at::kFloat;
  if (type == ComputeType::bf16) return at::kBFloat16;
  return device.is_cuda() ? at::kBFloat16 : at::kFloat;
}

at::ScalarType training_compute_type(ComputeType type, at::Device device) {
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  // Every processor with AMX has AVX512-BF16 too.
  const bool fast_bf16 = device.is_cpu() && cpu::has_bf16_products();
  return type == ComputeType::automatic && fast_bf16 ? at::kBFloat16
                                                     : resolve_compute_type(type, device);
}

}  // namespace mythos
