#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/build/build_shards.h"

namespace mythos {

// What `mythos tokenize` says of the shards that it has made.
struct BuildReport {
  std::string directory;
  BuildOptions options;
  BuildSummary summary;
  ReaderCounts input;
  double seconds = 0;
};

// Warnings of what was left out and of a validation split that is empty though it was asked for,
// then the figures of the directory.
void log_build(const BuildReport& report);
// "mythos.tokenize/1": man/mythos-tokenize.1 describes the keys.
nlohmann::ordered_json to_json(const BuildReport& report);

}  // namespace mythos
