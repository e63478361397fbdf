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

}  // namespace mythos
