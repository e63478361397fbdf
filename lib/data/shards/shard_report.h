#pragma once
#include <string>

#include "data/shards/shards.h"

namespace mythos {

// "train 61,217 tokens in 360 documents, val 6,852 tokens in 40 documents"
std::string splits_summary(const ShardManifest& manifest);

// "targets that count: train 41.2 %, val 40.8 %"; empty if the shards are not masked.
std::string counted_summary(const ShardManifest& manifest);

// What a shard directory holds, in one line for the log.
std::string shards_summary(const fs::path& directory, const ShardManifest& manifest);

// What a shard directory holds, for people: tokenizer, form of the tokens, and a row for each
// split. Names from outside are escaped.
std::string shards_table(const fs::path& directory, const ShardManifest& manifest);

}  // namespace mythos
