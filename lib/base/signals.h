#pragma once
#include <csignal>
#include <initializer_list>
#include <utility>
#include <vector>

#include "base/stop.h"

namespace mythos {

// Turns signals into a request to stop. From watch() on, the first of the signals requests a stop
// of token() instead of ending the process, and a second one ends the process at once. SIGHUP stays
// ignored where it was (nohup). There can be one at a time; when it goes, signals act as before.
class StopSignals {
 public:
  explicit StopSignals(std::initializer_list<int> signals = {SIGINT, SIGTERM, SIGHUP});
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void watch();
  StopToken token() const;
  // The signal that requested the stop; 0 when none has come.
  int signal() const;

 private:
  std::vector<int> signals_;
  std::vector<std::pair<int, struct sigaction>> before_;
};

// From now on SIGUSR1 is noted instead of ending the process.
void watch_save_requests();
// True once for each SIGUSR1 since the last call.
bool take_save_request();

// Lets the process outlive those who read its output: from now on SIGPIPE is ignored, and writing
// to a closed pipe fails instead.
void outlive_readers();

// Ends the process as the signal would have (so that a shell sees 129, 130 or 143).
[[noreturn]] void exit_by_signal(int signal);

}  // namespace mythos
