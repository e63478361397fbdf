#pragma once
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace mythos {

// The JSON value in a file. Fails (data), naming the byte, if it is not valid.
nlohmann::json read_json(const fs::path& path);

}  // namespace mythos
