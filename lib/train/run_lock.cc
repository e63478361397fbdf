#include "train/run_lock.h"

#include <unistd.h>

namespace mythos {

namespace {

constexpr const char* kLockName = ".lock";

}  // namespace

RunLock::RunLock(const fs::path& run) : run_(run) {
  lock_.own_folder(run, kLockName, "training in it",
                   "Wait for it, stop it, or choose another --out");
}

RunLock::~RunLock() {
  // A process that waits for the lock file finds it gone and makes a new one.
  std::error_code ignored;
  fs::remove(run_ / kLockName, ignored);
  rmdir(run_.c_str());
}

}  // namespace mythos
