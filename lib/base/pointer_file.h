#pragma once
#include <optional>
#include <string_view>

#include "base/files.h"

namespace mythos {

// A small text that large-file storage leaves in the place of a file that was not fetched.
struct PointerFile {
  const char *what, *advice;  // "a Git LFS pointer, which stands for …", "Run git lfs pull"
};

// The kind of pointer (Git LFS, Xet, git-annex) that begins with these bytes; nothing if they begin
// no pointer.
std::optional<PointerFile> pointer_file(std::string_view start);

// Fails (data) if `content`, that of `path`, is a pointer; the error says which kind and how to
// fetch the file.
void refuse_pointer(const fs::path& path, std::string_view content);

}  // namespace mythos
