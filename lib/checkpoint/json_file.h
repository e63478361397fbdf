#pragma once
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace mythos {

// The JSON value that a file holds. Fails (data) with the byte where it is none.
nlohmann::json read_json(const fs::path& path);

}  // namespace mythos
