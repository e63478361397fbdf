#include "data/work_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr const char* kLockName = "lock";

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
  if (mkdir(path_.c_str(), 0777) != 0 && errno != EEXIST) {
    fail(ErrorKind::resources,
         strprintf("cannot create directory %s: %s", path_.c_str(), std::strerror(errno)));
  }
  const FileLock::Outcome outcome = lock_.owner(path_ / kLockName);
  if (outcome == FileLock::Outcome::held) {
    fail(ErrorKind::usage,
         path_.string() + " is in use: " + FileLock::owner_of(path_ / kLockName) +
             " is writing to the same output.",
         "Wait for it, or name another output.");
  }
  return outcome == FileLock::Outcome::locked;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (!kept_) fs::remove_all(path_, ignored);
}

void WorkFolder::clear() {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (entry.path().filename() != kLockName) found.push_back(entry.path());
  for (const fs::path& path : found) fs::remove_all(path);
}

}  // namespace mythos
