#pragma once

namespace mythos {

// For a job that must save before it ends. From now on SIGINT, SIGTERM, SIGHUP and SIGUSR1 are
// noted instead of ending the process; the training loop asks at each step boundary. A second of
// the first three ends the process at once. SIGHUP stays ignored where it was (nohup).
void watch_signals();

// Lets the process outlive those who read its output: from now on SIGPIPE is ignored, and writing
// to a closed pipe fails instead.
void outlive_readers();

// The first of SIGINT, SIGTERM and SIGHUP that has come, else 0.
int stop_signal();
// True once for each SIGUSR1 since the last call.
bool take_save_request();

// Ends the process as the signal would have (so that a shell sees 129, 130 or 143).
[[noreturn]] void exit_by_signal(int signal);

}  // namespace mythos
