#include "data/build/work_folder.h"

#include <vector>

#include "base/output_path.h"

namespace mythos {
namespace {

constexpr const char* kLockName = "lock";

}  // namespace

fs::path WorkFolder::path_for(const fs::path& target) {
  return hidden_beside(followed(target), ".unfinished");
}

WorkFolder::WorkFolder(const fs::path& target) : path_(path_for(target)) {
  lock_.own_folder(path_, kLockName, "writing to the same output",
                   "Wait for it, or name another output.");
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
