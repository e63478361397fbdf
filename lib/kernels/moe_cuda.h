#pragma once
#include <torch/types.h>

namespace mythos::cuda {

// moe_swiglu() with its backward pass over this project's CUDA kernels: slots sorted by expert,
// grouped products over the sorted rows, each token's rows summed in a fixed order. The group sizes
// never visit the host: bf16 products are LibTorch's grouped ones where rows are multiples of 16
// bytes (before sm_90 those do read the sizes back, and run on tensor cores one expert at a time),
// the others this project's, which compute in fp32 without tensor cores.
torch::Tensor moe_swiglu(const torch::Tensor& x, const torch::Tensor& experts,
                         const torch::Tensor& weights, const torch::Tensor& gate_up,
                         const torch::Tensor& down);
// The same from LibTorch's operators, for a build without the kernels.
torch::Tensor moe_swiglu_plain(const torch::Tensor& x, const torch::Tensor& experts,
                               const torch::Tensor& weights, const torch::Tensor& gate_up,
                               const torch::Tensor& down);

}  // namespace mythos::cuda
