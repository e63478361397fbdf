#include "data/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr const char* kLockName = "lock";

[[noreturn]] void fail_folder(const char* action, const fs::path& path) {
  fail(ErrorKind::resources,
       strprintf("cannot %s %s: %s", action, path.c_str(), std::strerror(errno)));
}

}  // namespace

fs::path WorkFolder::path_for(const fs::path& target) {
  return hidden_beside(followed(target), ".unfinished");
}

WorkFolder::WorkFolder(const fs::path& target) : path_(path_for(target)) {
  while (!lock()) {
  }
}

// False when the process that had the folder deleted it meanwhile.
bool WorkFolder::lock() {
  std::error_code status;
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), status);
  if (mkdir(path_.c_str(), 0777) != 0 && errno != EEXIST) fail_folder("create directory", path_);
  const fs::path name = path_ / kLockName;
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 && errno == ENOENT) return false;
  if (fd < 0) fail_folder("create", name);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    close(fd);
    errno = code;
    if (code != EWOULDBLOCK) fail_folder("lock", name);
    fail(ErrorKind::usage,
         path_.string() + " is in use: another process is writing to the same output.",
         "Wait for it, or name another output.");
  }
  struct stat held = {}, there = {};
  const bool same = fstat(fd, &held) == 0 && stat(name.c_str(), &there) == 0 &&
                    held.st_ino == there.st_ino && held.st_dev == there.st_dev;
  if (same)
    lock_fd_ = fd;
  else
    close(fd);
  return same;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (!kept_) fs::remove_all(path_, ignored);
  close(lock_fd_);
}

void WorkFolder::clear() {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (entry.path().filename() != kLockName) found.push_back(entry.path());
  for (const fs::path& path : found) fs::remove_all(path);
}

}  // namespace mythos
