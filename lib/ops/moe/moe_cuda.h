#pragma once
#include <ATen/core/Tensor.h>

namespace mythos::cuda {

// moe_swiglu() with its backward pass over this project's CUDA kernels: slots are sorted by expert,
// the sorted rows multiplied in grouped products, and each token's rows summed in a fixed order.
// bf16 products are LibTorch's grouped ones if it takes their widths and the number of experts;
// except on devices of sm_90 and sm_100 these read the group sizes back to the host. All other
// products are this project's, for which the sizes stay on the device: fp32 arithmetic without
// tensor cores, even if tf32 is allowed. For the gradients of shared weights (weight.h) LibTorch's
// products wait until the rows of several loops take as much memory as the weight, and are then one
// product.
at::Tensor moe_swiglu(const at::Tensor& x, const at::Tensor& experts, const at::Tensor& weights,
                      const at::Tensor& gate_up, const at::Tensor& down);
// moe_swiglu() from LibTorch's operators, for a build without the kernels. If LibTorch's grouped
// product refuses the operands, each expert's product is taken by itself, with the group sizes on
// the host.
at::Tensor moe_swiglu_plain(const at::Tensor& x, const at::Tensor& experts,
                            const at::Tensor& weights, const at::Tensor& gate_up,
                            const at::Tensor& down);

}  // namespace mythos::cuda
