#include "infer/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

// How soon a wait notices that it is cancelled, should the signal come just before it.
constexpr int kPatience = 200;  // milliseconds

}  // namespace

LineReader::LineReader(const std::string& path)
    : name_(path == "-" ? "standard input" : path),
      fd_(path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) fail(ErrorKind::data, name_ + ": cannot open: " + std::strerror(errno));
}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) close(fd_);
}

Arrival LineReader::next(std::string& line, bool wait, const std::function<bool()>& cancelled) {
  while (!take(line)) {
    if (ended_) return Arrival::ended;
    if (readable(wait, cancelled)) {
      fill();
    } else {
      return wait ? Arrival::ended : Arrival::not_yet;
    }
  }
  ++line_number_;
  return Arrival::here;
}

std::string LineReader::where() const {
  return strprintf("%s:%llu", name_.c_str(), ull(line_number_));
}

bool LineReader::readable(bool wait, const std::function<bool()>& cancelled) const {
  pollfd from{fd_, POLLIN, 0};
  while (poll(&from, 1, wait ? kPatience : 0) <= 0) {
    if (!wait || (cancelled && cancelled())) return false;
  }
  return true;
}

bool LineReader::take(std::string& line) {
  size_t end = buffer_.find('\n', at_);
  if (end == std::string::npos) {
    if (!ended_ || at_ == buffer_.size()) return false;
    end = buffer_.size();  // the last line has no line feed
  }
  line.assign(buffer_, at_, end - at_);
  at_ = std::min(end + 1, buffer_.size());
  return true;
}

void LineReader::fill() {
  char block[1 << 16];
  const ssize_t size = read(fd_, block, sizeof block);
  if (size < 0 && errno == EINTR) return;
  if (size < 0) fail(ErrorKind::data, name_ + ": cannot read: " + std::strerror(errno));
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_.append(block, static_cast<size_t>(size));
  ended_ = size == 0;
}

}  // namespace mythos
