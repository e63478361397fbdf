#pragma once
#include <torch/types.h>

namespace mythos {

// x wᵀ. x [...,K], w [N,K] of one type; result [...,N]. On CPUs whose fp32 products LibTorch's
// default library serves badly (MKL off Intel: half the speed or less) oneDNN computes them;
// MYTHOS_GEMM=mkl|onednn decides otherwise.
torch::Tensor apply_linear(const torch::Tensor& x, const torch::Tensor& w);

// The products behind apply_linear(), without autograd; also for slices of packed weights. All 2-D,
// any strides.
torch::Tensor matmul_nt(const torch::Tensor& a,
                        const torch::Tensor& b);  // a bᵀ: [M,K] [N,K] → [M,N]
torch::Tensor matmul_nn(const torch::Tensor& a,
                        const torch::Tensor& b);  // a b:  [M,K] [K,N] → [M,N]
torch::Tensor matmul_tn(const torch::Tensor& a,
                        const torch::Tensor& b);  // aᵀ b: [K,M] [K,N] → [M,N]
// sum += aᵀ b, in fp32; an undefined sum becomes aᵀ b.
void add_matmul_tn(torch::Tensor& sum, const torch::Tensor& a, const torch::Tensor& b);

}  // namespace mythos
