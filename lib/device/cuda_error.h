#pragma once

namespace mythos {

// Fails (resources) with a cudaError_t: its text, what computed then, and what to do about the
// usual ones.
[[noreturn]] void fail_cuda(int status, const char* kernel);

}  // namespace mythos
