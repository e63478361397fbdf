#include "base/signals.h"

#include <unistd.h>

#include <cstdlib>

namespace mythos {
namespace {

// What handlers write outlives every StopSignals, as another thread may still be in a handler when
// one goes.
StopSource stop;
volatile std::sig_atomic_t stop_signal = 0;
volatile std::sig_atomic_t save_requested = 0;

void on_stop(int signal) {
  if (stop_signal) {
    std::signal(signal, SIG_DFL);
    raise(signal);
  }
  stop_signal = signal;
  stop.request_stop();
}

void on_save(int) { save_requested = 1; }

struct sigaction handled_by(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return action;
}

}  // namespace

StopSignals::StopSignals(std::initializer_list<int> signals) : signals_(signals) {
  stop_signal = 0;
  stop.reset();
}

StopSignals::~StopSignals() {
  for (const auto& [signal, action] : before_) sigaction(signal, &action, nullptr);
}

void StopSignals::watch() {
  const struct sigaction action = handled_by(on_stop);
  for (const int signal : signals_) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
    before_.emplace_back(signal, before);
  }
}

StopToken StopSignals::token() const { return stop.token(); }

int StopSignals::signal() const { return stop_signal; }

void watch_save_requests() {
  const struct sigaction action = handled_by(on_save);
  sigaction(SIGUSR1, &action, nullptr);
}

bool take_save_request() {
  if (!save_requested) return false;
  save_requested = 0;
  return true;
}

void outlive_readers() { std::signal(SIGPIPE, SIG_IGN); }

void exit_by_signal(int signal) {
  std::signal(signal, SIG_DFL);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace mythos
