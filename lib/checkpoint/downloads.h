#pragma once
#include <string>
#include <vector>

#include "base/files.h"

// What the library huggingface_hub leaves beside the files that it downloads.
namespace mythos {

// The SHA-256 by which the hub knows a large file: the name of the blob that a link in the
// library's cache leads to, or what .cache/huggingface/download tells in a directory that it
// filled. Empty where neither is there.
std::string downloaded_sha256(const fs::path& file);

struct DownloadCheck {
  std::vector<std::string> compared;  // names of files whose checksum is known
  std::vector<std::string> faults;    // a line for each that has another one
};

// Reads the files whose checksums are known, side by side on all threads.
DownloadCheck check_downloads(const std::vector<fs::path>& files);

}  // namespace mythos
