#pragma once
#include <string>

#include "data/shards/shards.h"

namespace mythos {

// What a shard directory holds, in one line for the log.
std::string shards_summary(const fs::path& directory, const ShardManifest& manifest);

// What a shard directory holds, for people: tokenizer, form of the tokens, and a row for each
// split. Names from outside are escaped.
std::string shards_table(const fs::path& directory, const ShardManifest& manifest);

}  // namespace mythos
