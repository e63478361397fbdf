#pragma once
#include <cstdint>

// LibTorch's grouped product on the CPU as it is on a CUDA device: it fails on 1024 groups and on
// rows that are not whole 16 bytes, takes bf16 only, and leaves NaN in the weights of groups
// without rows, where sm_100 leaves what memory held (pytorch issue 172439).
namespace emulation {

// Products of the weights' gradients since the program began: [M,R] by [R,C].
int64_t grouped_weight_products();

}  // namespace emulation
