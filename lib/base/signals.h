#pragma once

namespace mythos {

// From now on SIGINT, SIGTERM and SIGUSR1 are noted instead of ending the process; the training loop
// asks at each step boundary. A second SIGINT or SIGTERM ends the process at once.
void watch_signals();

// SIGINT or SIGTERM once one has come, else 0.
int stop_signal();
// True once for each SIGUSR1 since the last call.
bool take_save_request();

// Ends the process as the signal would have (so that a shell sees 130 or 143).
[[noreturn]] void exit_by_signal(int signal);

}  // namespace mythos
