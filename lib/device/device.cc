#include "device/device.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "device/cpu_features.h"

namespace mythos {
namespace {

// Only processes that use a device pay for opening LibTorch's CUDA half.
bool load_torch_cuda() {
  static const bool loaded = open_torch_cuda(kCudaDriver, "libtorch_cuda.so");
  return loaded;
}

int64_t cuda_devices() {
  if (!load_torch_cuda()) return 0;
  return at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
}

// Null where the driver does not know it.
template <class F>
F* driver_function(void* driver, const char* name) {
  return reinterpret_cast<F*>(dlsym(driver, name));
}

// The driver of this name, which has begun to work, and how many devices it has. Null and 0 where
// there is none.
struct CudaDriver {
  explicit CudaDriver(const std::string& name) {
    library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    const auto init = driver_function<int(unsigned)>(library, "cuInit");
    const auto get_count = driver_function<int(int*)>(library, "cuDeviceGetCount");
    if (!init || !get_count || init(0) != 0 || get_count(&count) != 0) count = 0;
  }
  void* library = nullptr;
  int count = 0;
};

at::Device cuda_device(int64_t index) {
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  static std::set<int64_t> warned;
  if (!has_bf16_cores(device) && warned.insert(index).second) {
    log_warning(
        strprintf("CUDA device %d is of architecture sm_%d, and bf16 and the CUDA kernels "
                  "need sm_80 or later: plain operators compute in fp32",
                  index, cuda_architectures()[static_cast<size_t>(index)]));
  }
  return device;
}

}  // namespace

bool open_torch_cuda(const std::string& driver, const std::string& torch_cuda) {
  if (!dlopen(driver.c_str(), RTLD_NOW | RTLD_GLOBAL)) return false;
  prefer_expandable_segments();
  if (dlopen(torch_cuda.c_str(), RTLD_NOW | RTLD_GLOBAL)) return true;
  log_warning(std::string("no CUDA device is used, because LibTorch's CUDA half does not load: ") +
              dlerror());
  return false;
}

void prefer_expandable_segments() {
  if (std::getenv("PYTORCH_CUDA_ALLOC_CONF")) return;
  setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True", /*overwrite=*/0);
}

std::vector<int> read_cuda_architectures(const std::string& name) {
  const CudaDriver driver(name);
  if (driver.count == 0) return {};
  const auto get_attribute =
      driver_function<int(int*, int, int)>(driver.library, "cuDeviceGetAttribute");
  if (!get_attribute) return {};
  constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…
  std::vector<int> architectures;
  for (int device = 0; device < driver.count; ++device) {
    int major = 0, minor = 0;
    if (get_attribute(&major, kMajor, device) != 0) return {};
    if (get_attribute(&minor, kMinor, device) != 0) return {};
    architectures.push_back(10 * major + minor);
  }
  return architectures;
}

std::vector<std::string> read_cuda_names(const std::string& name) {
  const CudaDriver driver(name);
  if (driver.count == 0) return {};
  const auto get_name = driver_function<int(char*, int, int)>(driver.library, "cuDeviceGetName");
  if (!get_name) return {};
  std::vector<std::string> names;
  for (int device = 0; device < driver.count; ++device) {
    char text[256] = {};
    if (get_name(text, sizeof text - 1, device) != 0) return {};
    names.emplace_back(text);
  }
  return names;
}

const std::vector<int>& cuda_architectures() {
  static const std::vector<int> architectures = read_cuda_architectures(kCudaDriver);
  return architectures;
}

bool has_bf16_cores(at::Device device, const std::vector<int>& architectures) {
  if (!device.is_cuda()) return false;
  const auto index = static_cast<size_t>(std::max<int>(0, device.index()));
  return index >= architectures.size() || architectures[index] >= 80;
}

at::Device resolve_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return cuda_devices() > 0 ? cuda_device(0) : at::kCPU;
  std::optional<int64_t> index;
  if (name == "cuda") index = 0;
  if (name.starts_with("cuda:")) index = parse_int(name.substr(5));
  if (!index || *index < 0) {
    fail(ErrorKind::usage, "device '" + name + "' is not one of auto, cpu, cuda, cuda:N");
  }
  const int64_t count = cuda_devices();
  if (*index >= count) {
    fail(ErrorKind::resources,
         strprintf("device %s: this machine offers %d CUDA devices. Use --device cpu or auto.",
                   name, count));
  }
  return cuda_device(*index);
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
  if (type == ComputeType::fp16) {
    if (!device.is_cuda()) {
      fail(ErrorKind::usage,
           "compute type fp16: the CPU has it for training alone, where it is slow.",
           "Choose fp32 or bf16");
    }
    return at::kHalf;
  }
  if (type == ComputeType::fp32) return at::kFloat;
  if (type == ComputeType::bf16) return at::kBFloat16;
  return device.is_cuda() && has_bf16_cores(device) ? at::kBFloat16 : at::kFloat;
}

std::string compute_type_name(at::ScalarType type) {
  if (type == at::kFloat) return "fp32";
  return type == at::kHalf ? "fp16" : "bf16";
}

at::ScalarType training_compute_type(ComputeType type, at::Device device) {
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  if (type == ComputeType::fp16) return at::kHalf;
  // Every processor with AMX has AVX512-BF16 too.
  const bool fast_bf16 = device.is_cpu() && cpu::has_bf16_products();
  return type == ComputeType::automatic && fast_bf16 ? at::kBFloat16
                                                     : resolve_compute_type(type, device);
}

}  // namespace mythos
