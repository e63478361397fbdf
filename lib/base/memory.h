#pragma once
#include <cstddef>
#include <exception>
#include <string>

namespace mythos {

// Bytes of main memory that this process can still take without swapping: what the kernel calls
// available, and at most what the control group's limit leaves.
double available_memory_bytes();

// "out of memory: cannot allocate 2.00 GiB" if an exception of the standard library or of LibTorch
// says that memory ran out, else the empty string.
std::string memory_fault(const std::exception& error);

// Gives the memory of the whole pages within back to the system. Their content is lost; what is
// mapped from a file is read again at the next access.
void forget_pages(const void* begin, size_t size_bytes);

}  // namespace mythos
