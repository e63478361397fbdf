#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace mythos {

// Progress of a long step on stderr. On a terminal one line is rewritten in place, at most ten times
// a second; elsewhere a line is printed every `interval_seconds`. Silent below log level info.
class Progress {
 public:
  // `total` of 0 means that the end is not known. `unit` is printed after the counts ("bytes").
  Progress(std::string label, int64_t total, std::string unit, double interval_seconds = 10);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What an earlier run had done: it counts as done, and not for the rate.
  void begin_at(int64_t done) { begin_ = done; }
  // Cheap when nothing is due: one clock reading.
  void update(int64_t done, std::string_view extra = {});
  // The same with a line composed by the caller.
  void line(std::string_view text, bool force = false);
  double elapsed_seconds() const;

  // Removes a line that is being rewritten, so that a message can be printed in its place.
  static void clear_line();

 private:
  bool due();

  std::string label_;
  int64_t total_, begin_ = 0;
  std::string unit_;
  double interval_seconds_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, last_;
};

// Width of the terminal on stderr in columns; 80 where it cannot be told.
int terminal_columns();

}  // namespace mythos
