#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/shards/shard_format.h"
#include "data/shards/shards.h"

namespace mythos {

// A shard file, mapped for reading. Opening checks the header, the trailer and the frame table,
// whose sizes do not depend on the number of documents. The document index, and the checksum that
// it shares with the frame table, is checked when a document is first asked for. Every failure is
// an Error (data) that names file and byte offset. Const members may be called from several threads
// at once.
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

  uint64_t frame_tokens(uint64_t frame) const { return frame_entry(frame).tokens; }
  // Decompresses a frame into `raw`, as little-endian ids of token_bytes() each. Fails (data) if
  // its checksum differs, it does not decompress to the right number of tokens, or an id is not
  // below `vocab_size`.
  void read_frame(uint64_t frame, uint64_t vocab_size, std::vector<std::byte>& raw) const;
  // Copies tokens first … first+out.size()-1 of a frame that was read.
  void unpack(std::span<const std::byte> raw, uint64_t first, std::span<uint32_t> out) const;
  // Checks the document index when it is called for the first time.
  void check_document_index() const;
  // The index in this file of a document's first token; tokens() for documents().
  uint64_t document_begin(uint64_t document) const;
  // The document that holds a token, whose index must be below tokens().
  uint64_t document_of(uint64_t token) const;

 private:
  [[noreturn]] void fail_at(uint64_t offset, const std::string& what) const;
  const std::byte* at(uint64_t offset) const { return file_.bytes().data() + offset; }
  shard_format::FrameEntry frame_entry(uint64_t frame) const;
  void check_header();
  void check_trailer();
  void check_frame_table() const;
  uint64_t document_entry(uint64_t document) const;

  MappedFile file_;
  shard_format::Header header_;
  shard_format::Trailer trailer_;
  std::unique_ptr<std::atomic<bool>> documents_checked_ =
      std::make_unique<std::atomic<bool>>(false);
};

}  // namespace mythos
