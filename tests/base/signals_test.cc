#include "base/signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace mythos {
namespace {

// What changes how signals act is in a process of its own.
TEST(SignalsDeathTest, TheFirstSignalRequestsAStop) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        signals.watch();
        const StopToken token = signals.token();
        const bool none = !token.stop_requested() && signals.signal() == 0;
        std::raise(SIGTERM);
        _exit(none && token.stop_requested() && signals.signal() == SIGTERM ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, SaveRequestsAreTakenOnceAndStopNothing) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        signals.watch();
        watch_save_requests();
        const bool none = !take_save_request();
        std::raise(SIGUSR1);
        const bool once = take_save_request() && !take_save_request();
        _exit(none && once && !signals.token().stop_requested() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, TheSecondSignalEndsTheProcess) {
  for (const int first : {SIGINT, SIGTERM}) {
    EXPECT_EXIT(
        {
          StopSignals signals;
          signals.watch();
          std::raise(first);
          std::raise(SIGINT);
          _exit(0);
        },
        testing::KilledBySignal(SIGINT), "");
  }
}

TEST(SignalsDeathTest, HangUpRequestsAStopUnlessItWasIgnored) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        signals.watch();
        std::raise(SIGHUP);
        _exit(signals.signal() == SIGHUP ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_IGN);
        StopSignals signals;
        signals.watch();
        std::raise(SIGHUP);
        _exit(signals.token().stop_requested() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, OnlyTheSignalsThatAreNamedAreWatched) {
  EXPECT_EXIT(
      {
        StopSignals signals({SIGINT});
        signals.watch();
        std::raise(SIGINT);
        std::raise(SIGTERM);
        _exit(0);
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST(Signals, ActAsBeforeWhenTheWatchEndsAndTheNextOneBeginsAnew) {
  struct sigaction before = {}, after = {};
  sigaction(SIGINT, nullptr, &before);
  for (int i = 0; i < 2; ++i) {
    StopSignals signals({SIGINT});
    EXPECT_FALSE(signals.token().stop_requested());
    signals.watch();
    std::raise(SIGINT);
    EXPECT_TRUE(signals.token().stop_requested());
  }
  sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(SignalsDeathTest, ExitBySignalLooksLikeTheSignal) {
  EXPECT_EXIT(
      {
        StopSignals signals;
        signals.watch();
        exit_by_signal(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace mythos
