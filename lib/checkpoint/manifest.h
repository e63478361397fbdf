#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

// The manifest.json of a checkpoint lists its files, with a checksum of every block of each. It is
// written last, so a directory with a whole manifest has all files (man/mythos-checkpoint.5).
namespace mythos {

constexpr const char* kCheckpointManifestName = "manifest.json";

struct ManifestFile {
  std::string name;
  uint64_t size_bytes = 0;
  std::string checksum;  // of the whole file
  // Checksum of each block of block_bytes; the last may be shorter.
  std::vector<std::string> blocks;
  // In a .safetensors file, the bytes begin … end-1 of each tensor.
  std::map<std::string, std::pair<uint64_t, uint64_t>> tensors;
};

struct Manifest {
  int64_t step = 0;
  uint64_t block_bytes = 1 << 20;
  std::string tokenizer;                      // file name; empty if there is no tokenizer
  std::vector<std::string> model, optimizer;  // names of the files that hold the tensors
  std::vector<ManifestFile> files;            // all files but the manifest itself
  bool slices = false;                        // whether tensors lie in slices (slices.h): version 2

  uint64_t size_bytes() const;
};

// Describes a file after reading it once.
ManifestFile describe_file(const fs::path& path, uint64_t block_bytes);

// The manifest as JSON without its own checksum, for ranks that write a checkpoint together.
nlohmann::ordered_json to_json(const Manifest& manifest);
Manifest manifest_from_json(const nlohmann::ordered_json& json);

void write_manifest(const fs::path& directory, const Manifest& manifest);
// Reads the manifest. Fails (data), naming file and byte range, if it is missing, damaged or of an
// unknown version.
Manifest read_manifest(const fs::path& directory);

// The reason why a directory is not whole, found without reading contents: a file is missing or has
// another size. Nothing if all are there.
std::optional<std::string> incomplete_reason(const fs::path& directory, const Manifest& manifest);

// One of so many parts of the work.
struct WorkPart {
  uint64_t number = 0, of = 1;
};

// Compares the blocks of a file, or one of equal parts of them, with their checksums. Returns a
// line for each run of damaged blocks: file, byte range, tensors; the first part also tells of a
// file that is missing or has another size. Calls `checked` with the size of each block that was
// read.
std::vector<std::string> check_file(const fs::path& directory, const Manifest& manifest,
                                    const ManifestFile& file, const WorkPart& part,
                                    const std::function<void(uint64_t)>& checked);

}  // namespace mythos
