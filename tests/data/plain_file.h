#pragma once
#include <fstream>

#include "base/files.h"

namespace mythos {

// Without the sync to disk that write_file_atomic does: for tests that write thousands of files.
inline void write_plain(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace mythos
