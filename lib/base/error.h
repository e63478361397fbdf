#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

namespace mythos {

// The kinds of failure; their numbers are the exit statuses. They are a contract with scripts: do
// not change them.
enum class ErrorKind : int {
  check_failed = 1,  // a check ran and said no: unstable model, corrupt shard, parity lost
  usage = 2,         // command line or configuration
  data = 3,          // input missing, corrupt or not matching
  resources = 4,     // memory, disk, device
  diverged = 5,      // training produced a loss that is not finite
  internal = 70,     // a defect in this program
};

// The exception that every failure throws; run_command (cli.h) prints it once.
// The message is one line: what failed, where, what was expected and what was found. The advice, if
// there is any, is a second line that says what to do. Both are escaped (strings.h), line ends too,
// so that file names and words of data in them cannot command a terminal or pass for another
// message.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string_view message, std::string_view advice = {});
  ErrorKind kind() const { return kind_; }
  // The first line of what(), and the second or "".
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
