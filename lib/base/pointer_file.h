#pragma once
#include <optional>
#include <string_view>

#include "base/files.h"

namespace mythos {

// A small text that large-file storage leaves in the place of a file that was not fetched.
struct PointerFile {
  const char *what, *advice;  // "a Git LFS pointer, which stands for …", "Run git lfs pull"
};

// What kind of pointer begins with these bytes: Git LFS, Xet, git-annex; nothing for anything else.
std::optional<PointerFile> pointer_file(std::string_view start);

// Fails (data), saying what `path` is and how to fetch the file, where its content is a pointer.
void refuse_pointer(const fs::path& path, std::string_view content);

}  // namespace mythos
