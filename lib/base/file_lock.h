#pragma once
#include <string>

#include "base/files.h"

namespace mythos {

// A lock on a file among processes (flock(2)). The system lets go of it when its owner ends,
// however it ends, so a dead owner never keeps it.
class FileLock {
 public:
  enum class Outcome {
    locked,
    held,  // another process has a lock that does not go with this one
    gone,  // the file, or for owner() its folder, is not there, or was replaced meanwhile
  };

  FileLock() = default;
  ~FileLock() { release(); }
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept;

  // The only owner of `path`, which is made when it is missing and tells who has it. None of these
  // three waits; each fails (resources) when the system refuses for another reason.
  Outcome owner(const fs::path& path);
  // One of any number of readers of a file that is there.
  Outcome shared(const fs::path& path);
  // The only one, without readers, of a file that is there; nothing is written.
  Outcome exclusive(const fs::path& path);
  // The only owner of `folder` through a lock file of this name in it, as owner(); the folder is
  // made when it is missing. Fails (usage) while another has it: "FOLDER is in use: OWNER is
  // DOING."
  void own_folder(const fs::path& folder, const char* name, const char* doing, const char* advice);
  void release();

  // "process 4711 on HOST" of the owner of `path`, or "another process".
  static std::string owner_of(const fs::path& path);

 private:
  Outcome take(const fs::path& path, int flags, int operation);

  int fd_ = -1;
};

}  // namespace mythos
