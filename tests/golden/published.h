#pragma once
#include <c10/core/Device.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "golden_report.h"

namespace mythos {

// What is done to a case before it is checked, to see that it then fails.
struct Change {
  std::vector<std::string> set;  // "model.rope_pairing=halves"
  std::string swap;              // a tensor whose longest side's halves change places
};

// Checks a case of a published family: NAME.json with a "family", NAME.safetensors. What they hold
// is written in published/README.md; what is not there is not checked.
void check_published(const fs::path& json_path, const nlohmann::json& json, at::Device device,
                     const Change& change, Report& report);

}  // namespace mythos
