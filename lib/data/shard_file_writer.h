#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/shards.h"

namespace mythos {

// Writes one shard file front to back.
class ShardFileWriter {
 public:
  ShardFileWriter(const fs::path& path, uint32_t token_bytes, uint32_t tokens_per_frame,
                  int zstd_level);
  ~ShardFileWriter();

  void begin_document() { document_begins_.push_back(tokens_); }
  void append(std::span<const uint32_t> ids);
  uint64_t tokens() const { return tokens_; }
  // Writes the indexes and the trailer.
  ShardFileInfo finish();

 private:
  void write(std::string_view bytes);
  void write_frame();

  struct Compressor;
  std::unique_ptr<Compressor> compressor_;
  fs::path path_;
  AtomicFile file_;
  Checksum checksum_;
  uint32_t token_bytes_, tokens_per_frame_;
  uint64_t tokens_ = 0, frames_ = 0;
  std::string frame_, frame_table_;  // tokens of the frame being filled; the table so far
  std::vector<uint64_t> document_begins_;
};

}  // namespace mythos
