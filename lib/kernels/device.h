#pragma once
#include <torch/types.h>

#include <string>

#include "config/train_config.h"

namespace mythos {

// "auto" (a CUDA device when there is one), "cpu", "cuda" or "cuda:N". LibTorch's CUDA half and
// this project's CUDA kernels are loaded here, only when a CUDA device is chosen. Fails (resources)
// when one is asked for and there is none, (usage) on any other text.
torch::Device resolve_device(const std::string& name);

// Type of matrix products: auto means bf16 on CUDA and fp32 on CPU. tf32 is fp32 whose products a
// CUDA device may round to 10 bits: it is switched on for the process. Fails (usage) for it on CPU.
torch::Dtype resolve_compute_type(ComputeType type, torch::Device device);
// The same for training: auto means bf16 also on a CPU that multiplies it twice as fast as fp32.
torch::Dtype training_compute_type(ComputeType type, torch::Device device);

}  // namespace mythos
