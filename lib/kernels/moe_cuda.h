#pragma once
#include <torch/types.h>

namespace mythos::cuda {

// moe_swiglu() with its backward pass over this project's CUDA kernels: slots sorted by expert,
// grouped products over the sorted rows, each token's rows summed in a fixed order. bf16 products
// are LibTorch's grouped ones where rows are multiples of 16 bytes; before sm_90 those read the
// group sizes back to the host. All others are this project's, for which the sizes stay on the
// device: fp32 arithmetic without tensor cores, also where tf32 is allowed.
torch::Tensor moe_swiglu(const torch::Tensor& x, const torch::Tensor& experts,
                         const torch::Tensor& weights, const torch::Tensor& gate_up,
                         const torch::Tensor& down);
// The same from LibTorch's operators, for a build without the kernels.
torch::Tensor moe_swiglu_plain(const torch::Tensor& x, const torch::Tensor& experts,
                               const torch::Tensor& weights, const torch::Tensor& gate_up,
                               const torch::Tensor& down);

}  // namespace mythos::cuda
