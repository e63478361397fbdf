#include "base/plugin.h"

namespace mythos {

namespace fs = std::filesystem;

fs::path find_plugin(const char* file_name) {
  std::error_code ignored;
  const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  // Seen from a build's bin/ and bin/tests/, and from an installed libexec/mythos/ and bin/.
  for (const fs::path place :
       {"../lib", "../../lib", "../../" MYTHOS_PLUGINS, "../" MYTHOS_PLUGINS}) {
    const fs::path file = here / place / file_name;
    if (fs::exists(file, ignored)) return file;
  }
  return {};
}

}  // namespace mythos
