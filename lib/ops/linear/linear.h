#pragma once
#include <ATen/core/Tensor.h>

namespace mythos {

// x wᵀ. x [...,K], w [N,K] of one type; result [...,N]. On CPUs on which LibTorch's default library
// is slow at fp32 products (MKL on CPUs not from Intel: half the speed or less) oneDNN computes
// them, unless MYTHOS_GEMM=mkl|onednn decides.
at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& w);

// The products that apply_linear() is made of, without autograd, also for slices of packed weights.
// All tensors are 2-D with any strides.
at::Tensor matmul_nt(const at::Tensor& a,
                     const at::Tensor& b);  // a bᵀ: [M,K] [N,K] → [M,N]
at::Tensor matmul_nn(const at::Tensor& a,
                     const at::Tensor& b);  // a b:  [M,K] [K,N] → [M,N]
at::Tensor matmul_tn(const at::Tensor& a,
                     const at::Tensor& b);  // aᵀ b: [K,M] [K,N] → [M,N]
// Adds aᵀ b to sum, in fp32; an undefined sum becomes aᵀ b. The product is first rounded to the
// type of a and b, unless adds_in_product().
void add_matmul_tn(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);
// Whether LibTorch's product of matrices of this type adds to an fp32 sum by itself.
bool adds_in_product(at::DeviceType device, at::ScalarType type);

}  // namespace mythos
