#include "train/run_lock.h"

#include <unistd.h>

#include "base/error.h"

namespace mythos {

RunLock::RunLock(const fs::path& run) : run_(run), file_(run / ".lock") {
  FileLock::Outcome outcome;
  while ((outcome = take()) == FileLock::Outcome::gone) {
  }
  if (outcome == FileLock::Outcome::locked) return;
  fail(ErrorKind::usage,
       run.string() + " is in use: " + FileLock::owner_of(file_) + " is training in it.",
       "Wait for it, stop it, or choose another --out");
}

FileLock::Outcome RunLock::take() {
  try {
    fs::create_directories(run_);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::resources, message_of(error));
  }
  return lock_.owner(file_);
}

RunLock::~RunLock() {
  // Another process that waits at the file finds it gone and makes a new one.
  std::error_code ignored;
  fs::remove(file_, ignored);
  rmdir(run_.c_str());
}

}  // namespace mythos
