#pragma once
#include <cstdint>

namespace mythos {

// Whether spawn_ranks() started this process.
bool is_spawned();

// Runs this program again in `count` processes, the ranks of a job on this machine, with the
// arguments `argv`, the variables that rank_place() reads and their share of the cores. Waits for
// all of them: signals to this process (SIGINT, SIGTERM, SIGHUP, SIGUSR1) go to each of them, and
// once one has failed, those that are still there after `timeout_seconds` are killed. Returns the
// exit status of the rank that failed (4 if a signal ended it), or 0. Where they ended by a signal
// that asks to stop, this process ends by it too.
int spawn_ranks(int64_t count, char** argv, double timeout_seconds);

}  // namespace mythos
