#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "config/train_config.h"

namespace mythos {

// "auto" (a CUDA device when there is one), "cpu", "cuda" or "cuda:N". LibTorch's CUDA half and
// this project's CUDA kernels are loaded here, only when a CUDA device is chosen. Fails (resources)
// when one is asked for and there is none, (usage) on any other text.
at::Device resolve_device(const std::string& name);

// Asks LibTorch for the same result in every run, also where that is slower. Call it before
// anything touches a CUDA device.
void use_deterministic_operators();

// Type of matrix products: auto means bf16 on CUDA and fp32 on CPU. tf32 is fp32 whose products a
// CUDA device may round to 10 bits: it is switched on for the process. Fails (usage) for it on CPU.
at::ScalarType resolve_compute_type(ComputeType type, at::Device device);
// The type for training: auto means bf16 also on a CPU that multiplies it twice as fast as fp32.
// For the process, parts of a product on a CUDA device are added up in fp32 from then on.
at::ScalarType training_compute_type(ComputeType type, at::Device device);

}  // namespace mythos
