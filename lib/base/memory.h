#pragma once
#include <exception>
#include <string>

namespace mythos {

// Bytes of main memory that this process can still take without others being pushed out: what the
// kernel calls available, within the control group's limit.
double available_memory_bytes();

// "out of memory: cannot allocate 2.00 GiB" where that is what an exception of the standard library
// or of LibTorch tells, else nothing.
std::string memory_fault(const std::exception& error);

}  // namespace mythos
