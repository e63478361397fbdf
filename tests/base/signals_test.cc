#include "base/signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace mythos {
namespace {

// Each in a process of its own, as the handlers and what they noted stay.
TEST(SignalsDeathTest, StopIsNotedAndUsr1IsTakenOnce) {
  EXPECT_EXIT(
      {
        watch_signals();
        const bool none = stop_signal() == 0 && !take_save_request();
        std::raise(SIGUSR1);
        const bool once = take_save_request() && !take_save_request() && stop_signal() == 0;
        std::raise(SIGTERM);
        _exit(none && once && stop_signal() == SIGTERM ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, TheSecondStopEndsTheProcess) {
  EXPECT_EXIT(
      {
        watch_signals();
        std::raise(SIGINT);
        std::raise(SIGINT);
        _exit(0);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(SignalsDeathTest, HangUpIsNotedUnlessItWasIgnored) {
  EXPECT_EXIT(
      {
        watch_signals();
        std::raise(SIGHUP);
        _exit(stop_signal() == SIGHUP ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_IGN);
        watch_signals();
        std::raise(SIGHUP);
        _exit(stop_signal() == 0 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, ExitBySignalLooksLikeTheSignal) {
  EXPECT_EXIT(
      {
        watch_signals();
        exit_by_signal(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace mythos
