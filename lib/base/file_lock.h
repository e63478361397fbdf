#pragma once
#include <string>

#include "base/files.h"

namespace mythos {

// A lock on a file among processes (flock(2)). The system releases it when its owner ends, however
// it ends, so a dead process never holds one.
class FileLock {
 public:
  enum class Outcome {
    locked,
    held,  // another process has a lock that excludes this one
    gone,  // the file is missing (for owner(): its folder is), or was replaced meanwhile
  };

  FileLock() = default;
  ~FileLock() { release(); }
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept;

  // Becomes the only owner of `path`, a file that is made when it is missing and then says who has
  // it. owner(), shared() and exclusive() do not wait; they fail (resources) when the system
  // refuses for another reason than a lock.
  Outcome owner(const fs::path& path);
  // Becomes one of any number of readers of an existing file.
  Outcome shared(const fs::path& path);
  // Becomes the only holder, without readers beside it, of an existing file; writes nothing into
  // it.
  Outcome exclusive(const fs::path& path);
  // Becomes the only owner of `folder` by owner() of the file `name` in it; makes a missing folder.
  // Fails (usage) while another process has it: "FOLDER is in use: OWNER is DOING."
  void own_folder(const fs::path& folder, const char* name, const char* doing, const char* advice);
  void release();

  // Names the owner of `path`: "process 4711 on HOST", or "another process" if it is not known.
  static std::string owner_of(const fs::path& path);

 private:
  Outcome take(const fs::path& path, int flags, int operation);

  int fd_ = -1;
};

}  // namespace mythos
