#pragma once
#include <cstdint>
#include <vector>

namespace mythos {

// The loop counts to measure where none are asked for: powers of two below the model's
// max_loop_iters, and that.
inline std::vector<int64_t> doubling_loops(int64_t max_loop_iters) {
  std::vector<int64_t> loops;
  for (int64_t n = 1; n < max_loop_iters; n *= 2) loops.push_back(n);
  loops.push_back(max_loop_iters);
  return loops;
}

}  // namespace mythos
