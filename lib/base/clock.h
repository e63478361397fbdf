#pragma once
#include <chrono>

namespace mythos {

// The clock by which everything here measures how long something takes.
using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace mythos
