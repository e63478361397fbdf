#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/stop.h"

namespace mythos {

enum class Arrival { here, not_yet, ended };

// Lines of a file or a pipe, also those that have come while a pipe is still open.
class LineReader {
 public:
  static constexpr size_t kMaxLineBytes = 64 << 20;

  // "-" is standard input. Of a longer line than `max_line_bytes` nothing is kept. Fails (data)
  // when the file cannot be opened.
  explicit LineReader(const std::string& path, size_t max_line_bytes = kMaxLineBytes);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its line feed, if it has come; with `wait` once it comes. A stop ends the
  // wait, and is an end too. Fails (data) when reading fails.
  Arrival next(std::string& line, bool wait, StopToken stop = {});
  // Whether the last was longer than allowed, and was given as an empty one.
  bool too_long() const { return too_long_; }
  size_t max_line_bytes() const { return max_line_bytes_; }
  const std::string& name() const { return name_; }      // of the file, for messages
  uint64_t line_number() const { return line_number_; }  // of the last, from 1
  // "FILE:LINE" of the last.
  std::string where() const;

 private:
  bool take(std::string& line);
  void fill();

  std::string name_, buffer_;
  int fd_;
  size_t max_line_bytes_;
  size_t at_ = 0;       // of what is not yet taken from the buffer
  size_t scanned_ = 0;  // up to here the buffer has no line feed behind at_
  bool ended_ = false;
  bool skipping_ = false;  // the rest of a line that is too long
  bool too_long_ = false;
  uint64_t line_number_ = 0;
};

}  // namespace mythos
