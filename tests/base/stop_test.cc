#include "base/stop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace mythos {
namespace {

TEST(Stop, TokensSeeTheRequestOfTheirSourceAlone) {
  StopSource source, other;
  const StopToken token = source.token(), copy = token;
  const StopToken none;
  EXPECT_FALSE(token.stop_requested());
  token.throw_if_stopped();
  source.request_stop();
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(copy.stop_requested());
  EXPECT_THROW(copy.throw_if_stopped(), Stopped);
  EXPECT_FALSE(other.token().stop_requested());
  EXPECT_FALSE(none.stop_requested());
  source.reset();
  EXPECT_FALSE(token.stop_requested());
}

TEST(Stop, AWaitEndsWithInputOrAStop) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  StopSource source;
  std::thread stopper([&] { source.request_stop(); });
  EXPECT_FALSE(wait_for_input(ends[0], source.token()));
  stopper.join();
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_TRUE(wait_for_input(ends[0], {}));
  EXPECT_FALSE(wait_for_input(ends[0], source.token()));
  char byte;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  close(ends[1]);
  EXPECT_TRUE(wait_for_input(ends[0], {}));  // the end
  close(ends[0]);
}

}  // namespace
}  // namespace mythos
