#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "dist/connect.h"

namespace mythos {

// A port that nothing listens on.
inline int free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  bind(descriptor, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  close(descriptor);
  return ntohs(address.sin_port);
}

// Runs `body` in `n` processes, the ranks of a job: this test's program is started again for the
// running case alone. Outside of a case of its own, `body` may check its own rank with EXPECT_...
// as usual; a failure there fails the case here. A case may start several jobs, one after the
// other: what else it does happens in all of their ranks too, up to the call that they are for, in
// which they end.
inline void on_ranks(int n, const std::function<void(Ranks&)>& body, double timeout_seconds = 60) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  static const testing::TestInfo* counted = nullptr;
  static int job = 0;
  job = counted == test ? job + 1 : 1;
  counted = test;
  if (const char* own_job = std::getenv("MYTHOS_TEST_RANKS")) {
    if (std::stoi(own_job) != job) return;
    {
      const auto ranks = connect(rank_place(), at::Device(at::kCPU), timeout_seconds);
      body(*ranks);
    }
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  const std::string filter =
      std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name();
  const std::string port = std::to_string(free_port());
  std::vector<pid_t> processes;
  for (int rank = 0; rank < n; ++rank) {
    const pid_t process = fork();
    if (process == 0) {
      const auto set = [](const char* name, const std::string& value) {
        setenv(name, value.c_str(), 1);
      };
      set("MYTHOS_TEST_RANKS", std::to_string(job));
      set("RANK", std::to_string(rank));
      set("WORLD_SIZE", std::to_string(n));
      set("LOCAL_RANK", std::to_string(rank));
      set("MASTER_ADDR", "127.0.0.1");
      set("MASTER_PORT", port);
      set("OMP_NUM_THREADS", "1");
      execl("/proc/self/exe", "ranks", filter.c_str(), nullptr);
      _exit(127);
    }
    processes.push_back(process);
  }
  for (int rank = 0; rank < n; ++rank) {
    int status = 0;
    waitpid(processes[static_cast<size_t>(rank)], &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "rank " << rank << " of " << n << " ended with status " << status;
  }
}

}  // namespace mythos
