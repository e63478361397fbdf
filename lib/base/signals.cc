#include "base/signals.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <initializer_list>

namespace mythos {
namespace {

volatile std::sig_atomic_t stop = 0;
volatile std::sig_atomic_t save = 0;

void on_signal(int signal) {
  if (signal == SIGUSR1) {
    save = 1;
    return;
  }
  if (stop) {
    std::signal(signal, SIG_DFL);
    raise(signal);
  }
  stop = signal;
}

}  // namespace

void watch_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  struct sigaction before = {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

void outlive_readers() { std::signal(SIGPIPE, SIG_IGN); }

int stop_signal() { return stop; }

bool take_save_request() {
  if (!save) return false;
  save = 0;
  return true;
}

void exit_by_signal(int signal) {
  std::signal(signal, SIG_DFL);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace mythos
