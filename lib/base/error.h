#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

namespace mythos {

// What went wrong, as the exit status tells it. The numbers are a contract with scripts: do not
// change.
enum class ErrorKind : int {
  check_failed = 1,  // a check ran and said no: unstable model, corrupt shard, parity lost
  usage = 2,         // command line or configuration
  data = 3,          // input missing, corrupt or not matching
  resources = 4,     // memory, disk, device
  diverged = 5,      // training produced a loss that is not finite
  internal = 70,     // a defect in this program
};

// The one way to fail. The library throws it, run_command (cli.h) prints it once.
// The message is one line (what, where, expected and got), the advice (what to do) a second one
// where it is not empty. Both are escaped (strings.h), line ends too: names of files and words of
// data that stand in them cannot command a terminal or look like another message.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string_view message, std::string_view advice = {});
  ErrorKind kind() const { return kind_; }
  // The two lines of what().
  const std::string& message() const { return message_; }
  const std::string& advice() const { return advice_; }

 private:
  ErrorKind kind_;
  std::string message_, advice_;
};

[[noreturn]] inline void fail(ErrorKind kind, std::string_view message,
                              std::string_view advice = {}) {
  throw Error(kind, message, advice);
}

}  // namespace mythos
