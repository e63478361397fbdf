#pragma once
#include <cstdint>

// What tensors on the CPU hold, apart from all else that a process takes: programs and libraries,
// the products that oneDNN has prepared, buffers of threads.
namespace mythos {

// Tensors are counted that are allocated after the first call. LibTorch's allocator is replaced by
// one that keeps each size beside its block.
void count_tensor_memory();

// Bytes now; 0 unless counted.
int64_t tensor_bytes();
// The most since the last call, or since counting began.
int64_t take_most_tensor_bytes();

}  // namespace mythos
