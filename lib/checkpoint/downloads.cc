#include "checkpoint/downloads.h"

#include <ATen/Parallel.h>

#include "base/sha256.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Small files have a shorter name on the hub, which says nothing of their bytes alone.
bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string downloaded_sha256(const fs::path& file) {
  std::error_code status;
  if (fs::is_symlink(file, status)) {
    const std::string blob = fs::read_symlink(file, status).filename().string();
    if (is_sha256(blob)) return blob;
  }
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const fs::path told =
      folder / ".cache/huggingface/download" / (file.filename().string() + ".metadata");
  if (!fs::is_regular_file(told, status)) return "";
  const std::vector<std::string> lines = split(read_file(told), '\n');  // commit, etag, time
  return lines.size() > 1 && is_sha256(lines[1]) ? lines[1] : "";
}

DownloadCheck check_downloads(const std::vector<fs::path>& files) {
  DownloadCheck out;
  std::vector<MappedFile> mapped;
  std::vector<std::string> expected, found;
  for (const fs::path& file : files) {
    std::string told = downloaded_sha256(file);
    if (told.empty()) continue;
    out.compared.push_back(file.filename().string());
    expected.push_back(std::move(told));
    mapped.emplace_back(file);
  }
  found.resize(mapped.size());
  at::parallel_for(0, static_cast<int64_t>(mapped.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      found[i] = sha256(mapped[i].bytes());
    }
  });
  for (size_t i = 0; i < mapped.size(); ++i) {
    if (found[i] == expected[i]) continue;
    out.faults.push_back(strprintf("%s: SHA-256 %s, but %s was downloaded: the file was changed",
                                   mapped[i].path(), found[i], expected[i]));
  }
  return out;
}

}  // namespace mythos
