#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "base/log.h"
#include "base/log_file.h"
#include "base/strings.h"

namespace mythos {
namespace {

std::atomic<bool> line_open{false};

}  // namespace

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

Progress::Progress(std::string label, int64_t total, std::string unit, double interval_seconds)
    : label_(std::move(label)),
      total_(total),
      unit_(std::move(unit)),
      interval_seconds_(interval_seconds),
      terminal_(stderr_is_terminal()),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  clear_line();
}

void Progress::clear_line() {
  if (line_open.exchange(false)) std::fputs("\r\033[K", stderr);
}

double Progress::elapsed_seconds() const {
  return seconds_since(start_);
}

bool Progress::due() {
  if (log_level() > LogLevel::info) return false;
  if (seconds_since(last_) < (terminal_ ? 0.1 : interval_seconds_)) return false;
  last_ = Clock::now();
  return true;
}

void Progress::line(std::string_view text, bool force) {
  if (force) log_file_line(text);
  if (due() || (force && log_level() <= LogLevel::info)) show(text);
}

void Progress::show(std::string_view text) {
  if (terminal_) {
    const auto columns = static_cast<size_t>(terminal_columns());
    const std::string part = shown(text).substr(0, columns > 1 ? columns - 1 : 1);
    std::fprintf(stderr, "\r%s\033[K", part.c_str());
    line_open = true;
  } else {
    std::fprintf(stderr, "%s\n", shown(text).c_str());
  }
  std::fflush(stderr);
}

void Progress::update(int64_t done, std::string_view extra) {
  if (!due()) return;
  const double seconds = elapsed_seconds();
  const double rate = seconds > 0 ? static_cast<double>(done - begin_) / seconds : 0;
  const bool bytes = unit_ == "bytes";
  const auto number = [&](double n) { return bytes ? human_bytes(n) : human_count(n); };
  std::string text = label_ + " " + number(static_cast<double>(done));
  if (total_ > 0) {
    text += strprintf(" of %s (%.0f%%)", number(static_cast<double>(total_)),
                      100.0 * static_cast<double>(done) / static_cast<double>(total_));
  }
  if (!bytes) text += " " + unit_;
  text += ", " + number(rate) + "/s";
  if (total_ > done && rate > 0) {
    text += ", " + human_duration(static_cast<double>(total_ - done) / rate) + " left";
  }
  if (!extra.empty()) text += ", " + std::string(extra);
  show(text);
}

}  // namespace mythos
