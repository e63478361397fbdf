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

// What an unfinished shard file needs, beside its bytes, to be gone on with.
struct ShardFileState {
  uint64_t size_bytes = 0, tokens = 0, documents = 0;
  std::string frame_table;    // entries of the frames in the file, as they will stand in it
  std::string frame;          // tokens of the frame being filled
  std::string documents_sum;  // checksum of the document index so far
};

// Writes one shard file front to back. The document index grows in a file of its own beside it,
// because a file may have more documents than one wants in memory.
class ShardFileWriter {
 public:
  // Frames are compressed on the pool, where one is given; it must outlive the writer.
  ShardFileWriter(const fs::path& path, uint32_t token_bytes, uint32_t tokens_per_frame,
                  int zstd_level, WorkerPool* pool = nullptr);
  // Goes on with what save() described. Fails (data) unless the bytes on disk are those.
  ShardFileWriter(const fs::path& path, uint32_t token_bytes, uint32_t tokens_per_frame,
                  int zstd_level, const ShardFileState& state, WorkerPool* pool = nullptr);

  void begin_document();
  void append(std::span<const uint32_t> ids);
  uint64_t tokens() const { return tokens_; }
  uint64_t documents() const { return documents_.size_bytes() / sizeof(uint64_t); }
  std::string name() const { return path_.filename().string(); }
  // Syncs everything written and describes it.
  ShardFileState save();
  // Writes the indexes and the trailer. The document index beside the file stays, see index_path().
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
  std::string frame_, frame_table_;   // tokens of the frame being filled; the table so far
  std::deque<PendingFrame> pending_;  // frames in order that are still to be written
};

}  // namespace mythos
