#pragma once
#include "base/file_lock.h"
#include "base/files.h"

namespace mythos {

// The hidden folder ".NAME.unfinished" beside a target (symbolic links are followed), in which a
// long job keeps what it has done, so that the next process with that target can go on. One process
// at a time owns it.
class WorkFolder {
 public:
  static fs::path path_for(const fs::path& target);

  // Makes or opens the folder. Fails (usage) while another process owns it.
  explicit WorkFolder(const fs::path& target);
  // Deletes the folder unless keep(true) was called.
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const fs::path& path() const { return path_; }
  void keep(bool kept) { kept_ = kept; }
  bool kept() const { return kept_; }
  // Deletes everything in the folder except the lock.
  void clear();

 private:
  fs::path path_;
  FileLock lock_;
  bool kept_ = false;
};

}  // namespace mythos
