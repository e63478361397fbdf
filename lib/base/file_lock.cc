#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/host.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr size_t kMostOwnerBytes = 300;

[[noreturn]] void fail_lock(const char* action, const fs::path& path, int code) {
  fail(ErrorKind::resources, strprintf("cannot %s %s: %s", action, path, std::strerror(code)));
}

bool is_same_file(int fd, const fs::path& path) {
  struct stat held = {}, there = {};
  return fstat(fd, &held) == 0 && stat(path.c_str(), &there) == 0 && held.st_ino == there.st_ino &&
         held.st_dev == there.st_dev;
}

}  // namespace

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

void FileLock::release() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

FileLock::Outcome FileLock::take(const fs::path& path, int flags, int operation) {
  release();
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return Outcome::gone;
  if (fd < 0) fail_lock(flags & O_CREAT ? "create" : "open", path, errno);
  if (flock(fd, operation | LOCK_NB) != 0) {
    const int code = errno;
    close(fd);
    if (code != EWOULDBLOCK) fail_lock("lock", path, code);
    return Outcome::held;
  }
  // The previous owner may have removed the file between open() and flock().
  if (!is_same_file(fd, path)) {
    close(fd);
    return Outcome::gone;
  }
  fd_ = fd;
  return Outcome::locked;
}

FileLock::Outcome FileLock::owner(const fs::path& path) {
  const Outcome outcome = take(path, O_RDWR | O_CREAT, LOCK_EX);
  if (outcome != Outcome::locked) return outcome;
  const std::string text = strprintf("process %d on %s\n", getpid(), host_name());
  // The text in the lock file only helps a message, so a full disk is no reason to refuse.
  if (ftruncate(fd_, 0) != 0 || pwrite(fd_, text.data(), text.size(), 0) < 0) return outcome;
  return outcome;
}

void FileLock::own_folder(const fs::path& folder, const char* name, const char* doing,
                          const char* advice) {
  const fs::path path = folder / name;
  Outcome outcome = Outcome::gone;
  // The previous owner may have removed the folder meanwhile.
  while (outcome == Outcome::gone) {
    std::error_code status;
    fs::create_directories(folder, status);
    if (status) {
      fail(ErrorKind::resources,
           strprintf("cannot create directory %s: %s", folder, status.message()));
    }
    outcome = owner(path);
  }
  if (outcome == Outcome::locked) return;
  fail(ErrorKind::usage, folder.string() + " is in use: " + owner_of(path) + " is " + doing + ".",
       advice);
}

FileLock::Outcome FileLock::shared(const fs::path& path) {
  return take(path, O_RDONLY, LOCK_SH);
}

FileLock::Outcome FileLock::exclusive(const fs::path& path) {
  return take(path, O_RDONLY, LOCK_EX);
}

std::string FileLock::owner_of(const fs::path& path) {
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error&) {
  }
  const std::string_view line = trim(std::string_view(text).substr(0, kMostOwnerBytes));
  return line.starts_with("process ") ? std::string(line) : "another process";
}

}  // namespace mythos
