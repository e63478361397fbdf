#pragma once

namespace mythos {

// If address space is limited (ulimit -v), makes each new tensor leave room for small allocations,
// and fail (std::bad_alloc) if there is none. oneDNN, which multiplies LibTorch's matrices, does
// not check its own small allocations, and the process would end by SIGSEGV. Does nothing without a
// limit. Must be called before there are threads.
void reserve_small_memory();

}  // namespace mythos
