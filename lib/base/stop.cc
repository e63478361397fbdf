#include "base/stop.h"

#include <poll.h>

namespace mythos {

bool wait_for_input(int descriptor, StopToken stop) {
  // How soon a stop is noticed whose signal came just before the wait, or to another thread.
  constexpr int kPatienceMilliseconds = 200;
  pollfd input{descriptor, POLLIN, 0};
  while (!stop.stop_requested()) {
    if (poll(&input, 1, kPatienceMilliseconds) > 0) return true;
  }
  return false;
}

}  // namespace mythos
