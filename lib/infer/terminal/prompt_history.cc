#include "infer/terminal/prompt_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/strings.h"

namespace mythos {
namespace {

// A regular file, opened; closed at the end.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags)
      : fd_(open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR)) {
    struct stat status;
    if (fd_ < 0) return;
    if (fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) {
      size_bytes_ = static_cast<size_t>(status.st_size);
    } else {
      close(fd_);
      fd_ = -1;
    }
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool is_open() const { return fd_ >= 0; }
  size_t size_bytes() const { return size_bytes_; }
  // The last bytes, at most so many.
  std::string tail(size_t most_bytes) const {
    std::string text(std::min(size_bytes_, most_bytes), '\0');
    const ssize_t size =
        pread(fd_, text.data(), text.size(), static_cast<off_t>(size_bytes_ - text.size()));
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return text;
  }
  bool write_whole(const std::string& text) const {
    return write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

 private:
  int fd_;
  size_t size_bytes_ = 0;
};

void replace(const fs::path& file, const std::vector<std::string>& lines) {
  const fs::path aside = hidden_beside(file, strprintf(".%d.unfinished", getpid()));
  const bool written = [&] {
    const Descriptor out(aside, O_WRONLY | O_CREAT | O_TRUNC);
    return out.is_open() && out.write_whole(join(lines, "\n") + "\n");
  }();
  std::error_code status;
  if (written) fs::rename(aside, file, status);
  if (!written || status) fs::remove(aside, status);
}

}  // namespace

std::vector<std::string> PromptHistory::load() const {
  const Descriptor in(file_, O_RDONLY);
  if (!in.is_open()) return {};
  std::vector<std::string> lines = split(in.tail(kMostBytes), '\n');
  if (in.size_bytes() > kMostBytes) lines.erase(lines.begin());  // it has lost its beginning
  std::erase(lines, "");
  if (lines.size() > kMostLines) {
    lines.erase(lines.begin(), lines.end() - static_cast<ptrdiff_t>(kMostLines));
  }
  if (in.size_bytes() > kMostBytes) {
    // Half, so that it is not cut at every start.
    size_t bytes = 0, kept = lines.size();
    while (kept > 0 && bytes + lines[kept - 1].size() < kMostBytes / 2) {
      bytes += lines[--kept].size() + 1;
    }
    lines.erase(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(kept));
    replace(file_, lines);
  }
  return lines;
}

void PromptHistory::add(std::string_view line) const {
  if (line.empty() || line.size() > kMostBytes / 4) return;
  std::error_code ignored;
  fs::create_directories(file_.parent_path(), ignored);
  const Descriptor out(file_, O_WRONLY | O_APPEND | O_CREAT);
  if (out.is_open()) out.write_whole(std::string(line) + "\n");
}

std::optional<fs::path> history_file() {
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value && *value == '/' ? std::optional<fs::path>(value) : std::nullopt;
  };
  if (const auto state = folder("XDG_STATE_HOME")) return *state / "mythos/history";
  if (const auto home = folder("HOME")) return *home / ".local/state/mythos/history";
  return std::nullopt;
}

}  // namespace mythos
