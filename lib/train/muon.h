#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "arch/muon_update.h"

namespace mythos {

// The mathematics of Muon (Jordan et al. 2024), which moves a matrix by its momentum with all
// singular values set to 1.

// The polar factors UVᵀ of the matrices UΣVᵀ of a stack [n,R,C], by the Polar Express (Amsel et al.
// 2025, arXiv 2505.16932, algorithm 1): six polynomials of degree 5 leave singular values that are
// at least 1e-3 of the Frobenius norm within 0.7% of 1; smaller ones end between 0 and 1, and a
// matrix of zeros stays so. Computed in fp32 on a CPU and in bf16 on CUDA, whose rounding turns the
// factor by a few hundredths; given back in the stack's type.
at::Tensor polar_factors(at::Tensor matrices);

// Matrices that lie in tensors [R,C], or [E,R,C] for E of them apart.
struct MatrixTensor {
  at::Tensor values;
  // Numbers of rows of the parts of R that are matrices of their own (TensorDeclaration::parts);
  // empty: all of R is one.
  std::vector<int64_t> parts;
};

// Replaces each matrix by its polar factor times sqrt(max(1, rows/columns)), Jordan's scale: it
// gives an update of one learning rate like effect on outputs at every shape and width. Matrices of
// one shape are computed as stacks of up to `stack_numbers` numbers.
void orthogonalize(const std::vector<MatrixTensor>& tensors,
                   int64_t stack_numbers = kMuonStackNumbers);

}  // namespace mythos
