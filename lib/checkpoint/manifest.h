#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

// manifest.json of a checkpoint: what belongs to it, with checksums of every file in blocks. It is
// written last, so a directory that holds a whole one holds everything (man/mythos-checkpoint.5).
namespace mythos {

constexpr const char* kManifestName = "manifest.json";

struct ManifestFile {
  std::string name;
  uint64_t size_bytes = 0;
  std::string checksum;             // of the whole file
  std::vector<std::string> blocks;  // checksum of each block_bytes; the last block may be shorter
  // .safetensors files: each tensor's bytes begin … end-1 in the file.
  std::map<std::string, std::pair<uint64_t, uint64_t>> tensors;
};

struct Manifest {
  int64_t step = 0;
  uint64_t block_bytes = 1 << 20;
  std::string tokenizer;                      // file name; empty when there is none
  std::vector<std::string> model, optimizer;  // file names; together they hold the tensors
  std::vector<ManifestFile> files;            // all but the manifest itself

  uint64_t size_bytes() const;
};

// Reads the file once and describes it.
ManifestFile describe_file(const fs::path& path, uint64_t block_bytes);

void write_manifest(const fs::path& directory, const Manifest& manifest);
// Fails (data), naming file and byte range, when it is missing, damaged or of an unknown version.
Manifest read_manifest(const fs::path& directory);

// Why the directory is not whole, judged without reading contents: a file that is missing or of
// another size. Nothing when it is.
std::optional<std::string> incomplete_reason(const fs::path& directory, const Manifest& manifest);

// Compares every block of a file; one line per run of damaged blocks: file, byte range, tensors.
// `checked` is told the bytes of each block that was read.
std::vector<std::string> check_file(const fs::path& directory, const Manifest& manifest,
                                    const ManifestFile& file,
                                    const std::function<void(uint64_t)>& checked);

}  // namespace mythos
