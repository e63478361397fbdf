#pragma once
#include "base/file_lock.h"
#include "base/files.h"

namespace mythos {

// Owns a run directory while a process trains in it: two processes at once would mix their
// checkpoints.
class RunLock {
 public:
  // Makes the directory if it is missing. Fails (usage), naming the owner, while another process
  // has it.
  explicit RunLock(const fs::path& run);
  // Also removes the directory if it is empty.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  fs::path run_;
  FileLock lock_;
};

}  // namespace mythos
