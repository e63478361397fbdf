#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace mythos {

enum class Arrival { here, not_yet, ended };

// Lines of a file or a pipe, also those that have come while a pipe is still open.
class LineReader {
 public:
  // "-" is standard input. Fails (data) when the file cannot be opened.
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its line feed, if it has come; with `wait` once it comes, until
  // `cancelled` says yes, which is an end too. Fails (data) when reading fails.
  Arrival next(std::string& line, bool wait, const std::function<bool()>& cancelled = {});
  uint64_t line_number() const { return line_number_; }  // of the last, from 1
  // "FILE:LINE" of the last.
  std::string where() const;

 private:
  bool readable(bool wait, const std::function<bool()>& cancelled) const;
  bool take(std::string& line);
  void fill();

  std::string name_, buffer_;
  int fd_;
  size_t at_ = 0;  // of what is not yet taken from the buffer
  bool ended_ = false;
  uint64_t line_number_ = 0;
};

}  // namespace mythos
