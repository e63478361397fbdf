#include "checkpoint/json_file.h"

#include "base/error.h"
#include "base/pointer_file.h"
#include "base/strings.h"

namespace mythos {

nlohmann::json read_json(const fs::path& path) {
  const std::string text = read_file(path);
  refuse_pointer(path, text);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: not valid JSON", path, error.byte > 0 ? error.byte - 1 : 0));
  }
}

}  // namespace mythos
