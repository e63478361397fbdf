#pragma once
#include <cstdint>
#include <deque>
#include <future>
#include <span>
#include <string>

#include "base/files.h"
#include "base/worker_pool.h"
#include "data/shards/shards.h"

namespace mythos {

// The state by which an unfinished shard file, together with its bytes, can be continued.
struct ShardFileState {
  uint64_t size_bytes = 0, tokens = 0, documents = 0;
  std::string frame_table;    // the table's entries for the frames in the file
  std::string frame;          // tokens of the frame that is being filled
  std::string documents_sum;  // checksum of the document index so far
};

// Writes a shard file from front to back. The document index grows in a file of its own beside it,
// because a file may have more documents than should be held in memory.
class ShardFileWriter {
 public:
  // If a pool is given, frames are compressed on it; it must outlive the writer.
  ShardFileWriter(const fs::path& path, uint32_t token_bytes, uint32_t tokens_per_frame,
                  int zstd_level, WorkerPool* pool = nullptr);
  // Continues the file that save() described. Fails (data) if the bytes on disk are others.
  ShardFileWriter(const fs::path& path, uint32_t token_bytes, uint32_t tokens_per_frame,
                  int zstd_level, const ShardFileState& state, WorkerPool* pool = nullptr);

  void begin_document();
  void append(std::span<const uint32_t> ids);
  uint64_t tokens() const { return tokens_; }
  uint64_t documents() const { return documents_.size_bytes() / sizeof(uint64_t); }
  std::string name() const { return path_.filename().string(); }
  // Syncs everything that was written, and describes it.
  ShardFileState save();
  // Writes the indexes and the trailer. The document index beside the file (index_path()) stays.
  ShardFileInfo finish();
  static fs::path index_path(const fs::path& path) { return path.string() + ".documents"; }

 private:
  void check_frames(std::string_view content) const;
  void write(std::string_view bytes);
  void end_frame();
  void write_frames(size_t most_left);
  void write_frame(std::string_view compressed, uint32_t tokens);

  struct PendingFrame {
    std::future<std::string> compressed;
    uint32_t tokens = 0;
  };
  WorkerPool* pool_;
  int zstd_level_;
  fs::path path_;
  OutputFile file_, documents_;
  Checksum checksum_, documents_checksum_;
  uint32_t token_bytes_, tokens_per_frame_;
  uint64_t tokens_ = 0;
  std::string frame_, frame_table_;   // tokens of the frame that is being filled; the table so far
  std::deque<PendingFrame> pending_;  // frames that are still to be written, in order
};

}  // namespace mythos
