#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "config/train_config.h"

namespace mythos {

constexpr const char* kCudaDriver = "libcuda.so.1";

// Opens LibTorch's CUDA half, which registers itself, if the driver's library is there; returns
// whether it did. Warns, with the loader's reason, if there is a driver and LibTorch's half cannot
// be opened.
bool open_torch_cuda(const std::string& driver, const std::string& torch_cuda);

// Has LibTorch's CUDA memory grow in place rather than in blocks of fixed size, of which those of
// one depth do not fit the next: PYTORCH_ALLOC_CONF=expandable_segments:True, unless that variable
// or PYTORCH_CUDA_ALLOC_CONF is set. Counts only before LibTorch's CUDA half is opened.
void prefer_expandable_segments();

// The CUDA devices' architectures by index, 90 for sm_90, as the driver tells them: devices that
// CUDA_VISIBLE_DEVICES hides are not among them. Empty if there is no driver.
std::vector<int> read_cuda_architectures(const std::string& driver);
// The architectures of this machine's CUDA devices, read once.
const std::vector<int>& cuda_architectures();

// The names of the CUDA devices by index, such as "NVIDIA H100 80GB HBM3", as the driver tells
// them. Empty if there is no driver, or it does not tell.
std::vector<std::string> read_cuda_names(const std::string& driver);

// Whether a CUDA device is of sm_80 or later, which this project's CUDA kernels are built for and
// whose tensor cores compute bf16; so is one whose architecture is not known.
bool has_bf16_cores(at::Device device,
                    const std::vector<int>& architectures = cuda_architectures());

// The device of a name: "auto" (a CUDA device if there is one), "cpu", "cuda" or "cuda:N". Loads
// LibTorch's CUDA half and this project's CUDA kernels if a CUDA device is chosen. Fails
// (resources) if a CUDA device is asked for and there is none, and (usage) on any other text. Warns
// once of a device that is older than sm_80, which computes in fp32 by plain operators.
at::Device resolve_device(const std::string& name);

// Asks LibTorch for the same result in every run, even if that is slower. Call it before anything
// touches a CUDA device.
void use_deterministic_operators();

// The type of matrix products: auto means bf16 on CUDA devices that have it and fp32 elsewhere.
// tf32 is fp32 whose products a CUDA device may round to 10 bits; it is switched on for the whole
// process. Fails (usage) for tf32 and fp16 on a CPU.
at::ScalarType resolve_compute_type(ComputeType type, at::Device device);
// The compute type for training: auto means bf16 also on a CPU that multiplies it twice as fast as
// fp32. From then on, parts of a product on a CUDA device are added up in fp32 in the whole
// process.
at::ScalarType training_compute_type(ComputeType type, at::Device device);

// The name of a compute type: "fp32", "bf16" or "fp16".
std::string compute_type_name(at::ScalarType type);

}  // namespace mythos
