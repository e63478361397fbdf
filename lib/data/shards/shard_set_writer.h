#pragma once
#include <array>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/shards/shard_file_writer.h"
#include "data/shards/shards.h"

namespace mythos {

// The manifest of a shard directory without documents. Fails (usage) if the tokenizer lacks a token
// that the options ask for.
ShardManifest empty_manifest(const Tokenizer& tokenizer, const ShardWriterOptions& options);

// Writes the shard files of both splits into a folder, numbered after those that a manifest already
// has, and can stop and go on. If a pool is given, frames are compressed on it; it must outlive the
// writer.
class ShardSetWriter {
 public:
  // `manifest` gives dtype, BOS and EOS, and the files that exist elsewhere.
  ShardSetWriter(fs::path folder, const Tokenizer& tokenizer, const ShardWriterOptions& options,
                 ShardManifest manifest, WorkerPool* pool = nullptr);
  // Continues the files that save() described. Other files of the folder are deleted, except those
  // that the description `earlier` needs, if it is not null. Fails (data) if the description or the
  // files are damaged.
  ShardSetWriter(fs::path folder, const Tokenizer& tokenizer, const ShardWriterOptions& options,
                 const nlohmann::ordered_json& saved, const nlohmann::ordered_json& earlier,
                 WorkerPool* pool = nullptr);

  // Adds a document as ShardWriter::add() does. Returns its number of tokens, 0 if it is left out.
  uint64_t add(ShardDirectory::Split split, std::span<const uint32_t> ids, uint64_t text_bytes,
               std::span<const uint32_t> mask = {});
  // The totals of all documents so far, those in unfinished files included.
  SplitInfo totals(ShardDirectory::Split split) const;
  // The manifest's list of sources, for the caller to fill.
  std::vector<SourceInfo>& sources() { return manifest_.sources; }
  // Finishes all files and returns their manifest.
  const ShardManifest& finish();
  uint64_t finished_files() const { return finished_files_; }

  // Makes everything so far durable, and describes it.
  nlohmann::ordered_json save();
  // Deletes files that only descriptions before the last one need. Call it once the last
  // description is durable and earlier ones are no longer wanted.
  void drop_old();

 private:
  struct Open {
    std::unique_ptr<ShardFileWriter> file;  // null if the split has no unfinished file
    std::unique_ptr<ShardFileWriter> mask;  // null if the directory is not masked
    uint64_t text_bytes = 0, counted = 0;
  };
  void open_file(ShardDirectory::Split split);
  void add_mask(ShardDirectory::Split split, std::span<const uint32_t> mask, uint64_t tokens);
  void finish_file(ShardDirectory::Split split);
  void delete_strangers(const nlohmann::ordered_json& earlier);
  Open& open(ShardDirectory::Split split) { return open_[static_cast<int>(split)]; }
  SplitInfo& info(ShardDirectory::Split split);

  fs::path folder_;
  ShardWriterOptions options_;
  WorkerPool* pool_;
  uint32_t bos_, eos_, token_bytes_;
  ShardManifest manifest_;  // of the finished files
  std::array<Open, 2> open_;
  std::vector<uint32_t> all_ones_;  // the mask of a document that counts wholly
  std::vector<fs::path> old_;
  uint64_t finished_files_ = 0;
};

}  // namespace mythos
