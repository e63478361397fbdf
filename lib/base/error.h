#pragma once
#include <stdexcept>
#include <string>
#include <utility>

namespace mythos {

// What went wrong, as the exit status tells it. The numbers are a contract with scripts: do not change.
enum class ErrorKind : int {
  check_failed = 1,  // a check ran and said no: unstable model, corrupt shard, parity lost
  usage = 2,         // command line or configuration
  data = 3,          // input missing, corrupt or not matching
  resources = 4,     // memory, disk, device
  diverged = 5,      // training produced a loss that is not finite
  internal = 70,     // a defect in this program
};

// The one way to fail. The library throws it, run_command (cli.h) prints it once.
// The message is one or two lines: what, where, expected and got, what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

[[noreturn]] inline void fail(ErrorKind kind, const std::string& message) {
  throw Error(kind, message);
}

}  // namespace mythos
