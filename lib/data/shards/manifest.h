#pragma once
#include <optional>
#include <string>

#include "data/shards/shards.h"

namespace mythos {

inline constexpr std::string_view kShardManifestName = "manifest.json";
inline constexpr std::string_view kShardSuffix = ".shard";
inline constexpr std::string_view kMaskSuffix = ".mask";

// The manifest's members that describe the data.
nlohmann::ordered_json manifest_json(const ShardManifest& manifest);

// The manifest as text. Its last member, "manifest_checksum", is the checksum of the whole text
// with zeros in the place of the checksum's 16 digits.
std::string format_manifest(const ShardManifest& manifest);

// Parses and checks the text of a manifest. Errors name `path`.
ShardManifest parse_manifest(const std::string& content, const fs::path& path);

// Reads and checks DIRECTORY/manifest.json. Fails (data) if it is missing, edited, damaged, of
// another version or inconsistent.
ShardManifest read_shard_manifest(const fs::path& directory);

// Fails (usage) unless shards may be written to `directory`: it must not exist or, with `replace`,
// be empty or hold nothing but shards.
void check_shard_target(const fs::path& directory, bool replace);

// Whether `path` is a half-written manifest that a killed run left behind.
bool is_unfinished_manifest(const fs::path& path);

// Whether the directory has a manifest that names the shard schema, even if it is damaged
// otherwise.
bool is_shard_directory(const fs::path& directory);

}  // namespace mythos
