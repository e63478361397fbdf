#include "programs.h"

#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"

namespace mythos {

fs::path own_folder() {
  std::error_code status;
  return fs::read_symlink("/proc/self/exe", status).parent_path();
}

std::vector<fs::path> exec_path() {
  std::vector<fs::path> folders;
  const auto add_list = [&](const char* list) {
    if (!list) return;
    for (const std::string& folder : split(list, ':')) {
      if (!folder.empty()) folders.emplace_back(folder);
    }
  };
  add_list(std::getenv("MYTHOS_EXEC_PATH"));
  const fs::path own = own_folder();
  if (!own.empty()) {
    folders.push_back(own);
    folders.push_back(own.parent_path() / MYTHOS_LIBEXEC);
  }
  add_list(std::getenv("PATH"));
  return folders;
}

fs::path find_program(const std::string& verb) {
  for (const fs::path& folder : exec_path()) {
    const fs::path program = folder / ("mythos-" + verb);
    std::error_code status;
    if (fs::is_regular_file(program, status) && access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

fs::path find_manual(const std::string& page) {
  const fs::path prefix = own_folder().parent_path();
  std::error_code status;
  for (const fs::path& path :
       {prefix / MYTHOS_MANDIR / "man1" / page, prefix / MYTHOS_MANDIR / "man1" / (page + ".gz"),
        fs::path(MYTHOS_SOURCE_DIR) / "man" / page}) {
    if (fs::is_regular_file(path, status)) return path;
  }
  return {};
}

void prepare_environment() {
  // libgomp's threads wait for work by spinning, by default so long that two processes on the same
  // cores all but stop each other. This many turns cost an idle machine nothing measurable.
  if (!std::getenv("OMP_WAIT_POLICY")) setenv("GOMP_SPINCOUNT", "4000", /*overwrite=*/0);
  // LibTorch's large blocks in huge pages: streaming through weights misses fewer translations.
  setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
}

}  // namespace mythos
