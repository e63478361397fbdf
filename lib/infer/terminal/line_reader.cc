#include "infer/terminal/line_reader.h"

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

bool has_input(int descriptor) {
  pollfd input{descriptor, POLLIN, 0};
  return poll(&input, 1, 0) > 0;
}

}  // namespace

LineReader::LineReader(const std::string& path, size_t max_line_bytes)
    : name_(path == "-" ? "standard input" : path),
      fd_(path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      max_line_bytes_(max_line_bytes) {
  if (fd_ < 0) fail(ErrorKind::data, name_ + ": cannot open: " + std::strerror(errno));
}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) close(fd_);
}

Arrival LineReader::next(std::string& line, bool wait, StopToken stop) {
  while (!take(line)) {
    if (ended_) return Arrival::ended;
    if (wait ? wait_for_input(fd_, stop) : has_input(fd_)) {
      fill();
    } else {
      return wait ? Arrival::ended : Arrival::not_yet;
    }
  }
  ++line_number_;
  return Arrival::here;
}

std::string LineReader::where() const {
  return strprintf("%s:%u", name_, line_number_);
}

bool LineReader::take(std::string& line) {
  size_t end = buffer_.find('\n', scanned_);
  if (end == std::string::npos && !ended_) {
    scanned_ = buffer_.size();
    if (buffer_.size() - at_ > max_line_bytes_) {
      skipping_ = true;
      at_ = scanned_;
    }
    return false;
  }
  if (end == std::string::npos) {
    if (at_ == buffer_.size() && !skipping_) return false;
    end = buffer_.size();  // the last line has no line feed
  }
  too_long_ = skipping_ || end - at_ > max_line_bytes_;
  too_long_ ? line.clear() : void(line.assign(buffer_, at_, end - at_));
  skipping_ = false;
  at_ = scanned_ = std::min(end + 1, buffer_.size());
  return true;
}

void LineReader::fill() {
  char block[1 << 16];
  const ssize_t size = read(fd_, block, sizeof block);
  if (size < 0 && errno == EINTR) return;
  if (size < 0) fail(ErrorKind::data, name_ + ": cannot read: " + std::strerror(errno));
  buffer_.erase(0, at_);
  scanned_ -= at_;
  at_ = 0;
  buffer_.append(block, static_cast<size_t>(size));
  ended_ = size == 0;
}

}  // namespace mythos
