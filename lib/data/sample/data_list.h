#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"

namespace mythos {

// A shard directory named on a command line, and the share of the sequences that come from it.
struct DataEntry {
  fs::path directory;
  std::optional<double> weight;
};

// Reads DIR or DIR:WEIGHT. A number after the last ':' is a weight, unless a directory of the whole
// name exists. Fails (usage) on a weight that is not above 0.
DataEntry parse_data_entry(const std::string& text);
// Reads a list of such entries. Fails (usage) as parse_data_entry() does, and if some entries have
// a weight and others have none.
std::vector<DataEntry> parse_data_list(const std::vector<std::string>& texts);

}  // namespace mythos
