#pragma once
#include <cstdint>

// Counts the memory of tensors on the CPU, apart from everything else that a process takes:
// programs and libraries, the products that oneDNN has prepared, buffers of threads.
namespace mythos {

// Counts tensors that are allocated after the first call. LibTorch's allocator is replaced by one
// that keeps each size beside its block.
void count_tensor_memory();

// The bytes that tensors hold now; 0 unless they are counted.
int64_t tensor_bytes();
// The most bytes since the last call, or since counting began.
int64_t take_most_tensor_bytes();

}  // namespace mythos
