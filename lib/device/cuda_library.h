#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include "base/error.h"
#include "base/strings.h"
#include "device/cuda_error.h"

namespace mythos {

// A function of the shared object with this project's CUDA kernels; null if the object is missing
// (built without nvcc) or lacks the name. The object is opened at the first call.
void* cuda_kernel(const char* name);

// The current stream of a CUDA device, a cudaStream_t.
void* cuda_stream(at::Device device);

// The implementation of an operator for a tensor: its CPU form, this project's CUDA kernels, or
// plain tensor operations. The latter serve a CUDA tensor if the kernels are missing or its device
// is too old for them, and fp16 on a CPU.
enum class Backend { cpu, cuda, plain };
Backend backend_of(const at::Tensor& x);

// A kernel's entry point: it takes a struct of raw pointers and numbers, declared beside the .cu
// file, works on the device's current stream and returns a cudaError_t. Fails (resources) if that
// is not 0, or if the shared object lacks the name.
template <class Args>
class CudaKernel {
 public:
  explicit CudaKernel(const char* name)
      : name_(name), entry_(reinterpret_cast<Entry>(cuda_kernel(name))) {
    if (entry_) return;
    fail(ErrorKind::resources, strprintf("libmythos_cuda.so has no kernel %s", name),
         "install it and the programs from one build, or remove it: plain operations serve then");
  }

  void operator()(const Args& args, at::Device device) const {
    const c10::DeviceGuard guard(device);
    const int status = entry_(&args, cuda_stream(device));
    if (status != 0) fail_cuda(status, name_);
  }

 private:
  using Entry = int (*)(const Args*, void* stream);
  const char* name_;
  Entry entry_;
};

}  // namespace mythos
