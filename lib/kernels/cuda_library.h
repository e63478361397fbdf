#pragma once
#include <torch/types.h>

namespace mythos {

// A function of the shared object with this project's CUDA kernels; null when it is not there
// (built without nvcc) or lacks the name. The object is opened at the first call.
void* cuda_kernel(const char* name);

// The current stream of a CUDA device, a cudaStream_t.
void* cuda_stream(torch::Device device);

}  // namespace mythos
