#pragma once
#include <exception>
#include <string>

namespace mythos {

// Bytes of main memory that this process can still take without swapping: what the kernel calls
// available, and at most what the control group's limit leaves.
double available_memory_bytes();

// "out of memory: cannot allocate 2.00 GiB" if an exception of the standard library or of LibTorch
// says that memory ran out, else the empty string.
std::string memory_fault(const std::exception& error);

}  // namespace mythos
