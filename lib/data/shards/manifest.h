#pragma once
#include <optional>
#include <string>

#include "data/shards/shards.h"

namespace mythos {

inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr std::string_view kShardSuffix = ".shard";

// The members of the manifest that describe the data.
nlohmann::ordered_json manifest_json(const ShardManifest& manifest);

// The manifest as text. Its last member "manifest_checksum" is the checksum of the whole text with
// its own 16 digits written as zeros.
std::string format_manifest(const ShardManifest& manifest);

// The inverse, with every check. Errors name `path`.
ShardManifest parse_manifest(const std::string& content, const fs::path& path);

// Reads and checks DIRECTORY/manifest.json. Fails (data) when it is missing, edited, damaged, of
// another version or inconsistent.
ShardManifest read_shard_manifest(const fs::path& directory);

// Fails (usage) unless shards may be written under that name: it is free or, with `replace`, an
// empty directory or one that holds nothing but shards.
void check_shard_target(const fs::path& directory, bool replace);

// Whether it is what a run left that was killed while it wrote a manifest.
bool is_unfinished_manifest(const fs::path& path);

// Whether the directory has a manifest that names the shard schema, be it damaged otherwise.
bool is_shard_directory(const fs::path& directory);

}  // namespace mythos
