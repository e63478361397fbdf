#include "base/pointer_file.h"

#include "base/error.h"

namespace mythos {
namespace {

struct Signature {
  std::string_view bytes;
  PointerFile pointer;
};

constexpr Signature kSignatures[] = {
    {"version https://git-lfs.github.com/spec/",
     {"a Git LFS pointer, which stands for a file that was not fetched", "Run git lfs pull"}},
    {"# xet version 0\n",
     {"a Xet pointer, which stands for a file that was not fetched", "Fetch the file itself"}},
    {"/annex/objects/",
     {"a git-annex pointer, which stands for a file that was not fetched",
      "Run git annex get FILE"}},
};

}  // namespace

std::optional<PointerFile> pointer_file(std::string_view start) {
  for (const Signature& known : kSignatures) {
    if (start.starts_with(known.bytes)) return known.pointer;
  }
  return std::nullopt;
}

void refuse_pointer(const fs::path& path, std::string_view content) {
  if (const auto pointer = pointer_file(content)) {
    fail(ErrorKind::data, path.string() + ": " + pointer->what + ".", pointer->advice);
  }
}

}  // namespace mythos
