#pragma once
#include <csignal>

namespace mythos {

// While one lives, the first SIGINT is noted instead of ending the process, so that a generation
// can stop and its result be kept; a second SIGINT ends the process. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool interrupted();

 private:
  struct sigaction previous_;
};

}  // namespace mythos
