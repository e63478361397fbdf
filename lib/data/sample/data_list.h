#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"

namespace mythos {

// Shards named on a command line, and the share of the sequences that come from them.
struct DataEntry {
  fs::path directory;
  std::optional<double> weight;
};

// DIR or DIR:WEIGHT. What stands behind the last ':' is a weight when it is a number, unless there
// is a directory of the whole name. Fails (usage) on a weight that is not above 0.
DataEntry parse_data_entry(const std::string& text);
// Fails (usage) when some have a weight and some have none, too.
std::vector<DataEntry> parse_data_list(const std::vector<std::string>& texts);

}  // namespace mythos
