#pragma once

namespace mythos {

// Where address space is limited (ulimit -v), makes each new tensor leave room for small
// allocations, and fail (std::bad_alloc) where there is none. oneDNN, which multiplies LibTorch's
// matrices, does not look whether its own small allocations succeed: the process ended by
// SIGSEGV. Does nothing elsewhere. To be called before there are threads.
void reserve_small_memory();

}  // namespace mythos
