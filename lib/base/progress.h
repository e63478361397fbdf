#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace mythos {

// Shows the progress of a long job on stderr. On a terminal one line is rewritten in place, at most
// ten times a second; elsewhere a line is printed every `interval_seconds`. Prints nothing if
// messages of level info are not printed.
class Progress {
 public:
  // A `total` of 0 means that the end is not known. `unit` is printed after the counts ("bytes").
  Progress(std::string label, int64_t total, std::string unit, double interval_seconds = 10);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Sets what an earlier run has done: it counts as done, but not for the rate.
  void begin_at(int64_t done) { begin_ = done; }
  // Prints `done` of `total` and `extra` if a line is due. If none is, it costs one reading of the
  // clock.
  void update(int64_t done, std::string_view extra = {});
  // Prints a line of the caller's if one is due, or in any case with `force`.
  void line(std::string_view text, bool force = false);
  double elapsed_seconds() const;

  // Removes a line that is being rewritten, so that a message can be printed in its place.
  static void clear_line();

 private:
  bool due();
  void show(std::string_view text);

  std::string label_;
  int64_t total_, begin_ = 0;
  std::string unit_;
  double interval_seconds_;
  bool terminal_;
  Clock::time_point start_, last_;
};

// Width of the terminal on stderr in columns; 80 where it cannot be told.
int terminal_columns();

}  // namespace mythos
