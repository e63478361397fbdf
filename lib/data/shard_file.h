#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/shard_format.h"
#include "data/shards.h"

namespace mythos {

// One shard file, mapped for reading. Opening checks header, frame table, document index and
// trailer; every failure is an Error (data) that names file and byte offset.
class ShardFile {
 public:
  explicit ShardFile(const fs::path& path);

  uint64_t tokens() const { return trailer_.tokens; }
  uint64_t documents() const { return trailer_.documents; }
  uint64_t frames() const { return trailer_.frames; }
  uint32_t tokens_per_frame() const { return header_.tokens_per_frame; }
  uint32_t token_bytes() const { return header_.token_bytes; }
  uint64_t size_bytes() const { return file_.bytes().size(); }
  std::string checksum() const { return mythos::checksum(file_.bytes()); }

  // The tokens of one frame. Fails (data) when its checksum differs, it does not decompress, or an
  // id is not below `vocab_size`.
  std::vector<uint32_t> read_frame(uint64_t frame, uint64_t vocab_size) const;
  // Index of the document's first token in this file; documents() gives tokens().
  uint64_t document_begin(uint64_t document) const;

 private:
  [[noreturn]] void fail_at(uint64_t offset, const std::string& what) const;
  const std::byte* at(uint64_t offset) const { return file_.bytes().data() + offset; }
  shard_format::FrameEntry frame_entry(uint64_t frame) const;
  void check_header();
  void check_trailer();
  void check_frame_table() const;
  void check_document_index() const;

  MappedFile file_;
  shard_format::Header header_;
  shard_format::Trailer trailer_;
};

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
