#pragma once
#include <fstream>

#include "base/files.h"

namespace mythos {

// For tests that write thousands of files: without the sync of write_file_atomic, and in place, because
// ext4 also syncs a file that was cut to nothing and written again.
inline void write_plain(const fs::path& path, const std::string& content) {
  if (!fs::exists(path)) std::ofstream(path, std::ios::binary).flush();
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << content;
  fs::resize_file(path, content.size());
}

}  // namespace mythos
