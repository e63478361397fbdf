#pragma once
#include "base/file_lock.h"
#include "base/files.h"

namespace mythos {

// A run directory as long as one process trains in it: two at once would mix their checkpoints.
class RunLock {
 public:
  // Makes the directory where it is missing. Fails (usage), naming the owner, while another process
  // has it.
  explicit RunLock(const fs::path& run);
  // Removes the directory too when nothing came into it.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  fs::path run_;
  FileLock lock_;
};

}  // namespace mythos
