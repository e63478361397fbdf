#include "dist/spawn.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/format.h"
#include "base/log.h"
#include "base/signals.h"

namespace mythos {
namespace {

constexpr const char* kMark = "MYTHOS_NPROC";
constexpr double kMeetingSeconds = 10;
constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

int unused_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  socklen_t length = sizeof address;
  const bool found = descriptor >= 0 &&
                     bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  if (descriptor >= 0) close(descriptor);
  if (!found) fail(ErrorKind::resources, "this machine has no free port for ranks to meet at");
  return ntohs(address.sin_port);
}

bool asks_to_stop(int signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP;
}

class Family {
 public:
  Family(int64_t count, char** argv) : pids_(static_cast<size_t>(count), 0) {
    sigset_t waited;
    sigemptyset(&waited);
    for (const int signal : kForwarded) sigaddset(&waited, signal);
    sigaddset(&waited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &waited, &before_);
    waited_ = waited;
    const std::string port = std::to_string(unused_port());
    for (size_t rank = 0; rank < pids_.size(); ++rank) start(rank, port, argv);
  }

  int wait(double timeout_seconds) {
    std::optional<Clock::time_point> failed;
    bool urged = false;
    while (alive() > 0) {
      const timespec tick{0, 200'000'000};
      const int signal = sigtimedwait(&waited_, nullptr, &tick);
      if (signal > 0 && signal != SIGCHLD) send(signal);
      reap();
      if (!failed && (status_ != 0 || killed_)) failed = Clock::now();
      if (!failed) continue;
      // Ranks end by themselves when they lose one, unless they have not yet met.
      const double since = seconds_since(*failed);
      if (since > kMeetingSeconds && !urged) {
        send(SIGTERM);
        urged = true;
      }
      if (since > timeout_seconds + kMeetingSeconds) send(SIGKILL);
    }
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    if (killed_) return static_cast<int>(ErrorKind::resources);
    if (status_ == 0 && stopped_ != 0) exit_by_signal(stopped_);
    return status_;
  }

 private:
  void start(size_t rank, const std::string& port, char** argv) {
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
      const std::string reason = std::strerror(errno);
      send(SIGKILL);
      fail(ErrorKind::resources,
           strprintf("cannot start process %d of %d: %s", rank + 1, pids_.size(), reason));
    }
    if (pid > 0) {
      pids_[rank] = pid;
      return;
    }
    // A terminal's signals go to the parent alone, which hands them on once.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(static_cast<int>(ErrorKind::resources));
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    const auto set = [](const char* name, const std::string& value, bool replace = true) {
      setenv(name, value.c_str(), replace);
    };
    const std::string size = std::to_string(pids_.size());
    set("RANK", std::to_string(rank));
    set("LOCAL_RANK", std::to_string(rank));
    set("WORLD_SIZE", size);
    set("LOCAL_WORLD_SIZE", size);
    set("MASTER_ADDR", "127.0.0.1");
    set("MASTER_PORT", port);
    set(kMark, size);
    const int64_t threads = physical_cores() / static_cast<int64_t>(pids_.size());
    set("MYTHOS_THREADS", std::to_string(threads < 1 ? 1 : threads), /*replace=*/false);
    execv("/proc/self/exe", argv);
    _exit(static_cast<int>(ErrorKind::resources));
  }

  size_t alive() const {
    size_t count = 0;
    for (const pid_t pid : pids_) count += pid > 0;
    return count;
  }

  void send(int signal) const {
    for (const pid_t pid : pids_) {
      if (pid > 0) kill(pid, signal);
    }
  }

  void reap() {
    for (size_t rank = 0; rank < pids_.size(); ++rank) {
      int status = 0;
      if (pids_[rank] <= 0 || waitpid(pids_[rank], &status, WNOHANG) != pids_[rank]) continue;
      const pid_t pid = pids_[rank];
      pids_[rank] = 0;
      if (WIFEXITED(status)) {
        // Ranks that lose another one end with the status of lacking resources.
        const int code = WEXITSTATUS(status);
        const bool own = code != 0 && code != static_cast<int>(ErrorKind::resources);
        if (status_ == 0 || own) status_ = code != 0 ? code : status_;
      } else if (WIFSIGNALED(status)) {
        if (asks_to_stop(WTERMSIG(status))) {
          stopped_ = WTERMSIG(status);
        } else {
          if (!killed_) {
            log_error(strprintf("rank %d (process %d) was ended by signal %d, %s", rank, pid,
                                WTERMSIG(status), strsignal(WTERMSIG(status))));
          }
          killed_ = true;
        }
      }
    }
  }

  std::vector<pid_t> pids_;  // by rank; 0 once it has ended
  sigset_t before_ = {}, waited_ = {};
  int status_ = 0, stopped_ = 0;
  bool killed_ = false;
};

}  // namespace

bool is_spawned() {
  return std::getenv(kMark) != nullptr;
}

int spawn_ranks(int64_t count, char** argv, double timeout_seconds) {
  Family family(count, argv);
  return family.wait(timeout_seconds);
}

}  // namespace mythos
