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

// The manifest of a shard directory without documents. Fails (usage) when the tokenizer lacks a
// token that the options ask for.
ShardManifest empty_manifest(const Tokenizer& tokenizer, const ShardWriterOptions& options);

// Writes the shard files of both splits into a folder, behind those that a manifest already has,
// and can stop and go on. Frames are compressed on a pool where one is given; it must outlive the
// writer.
class ShardSetWriter {
 public:
  // `manifest` says dtype, BOS and EOS, and which files there are elsewhere.
  ShardSetWriter(fs::path folder, const Tokenizer& tokenizer, const ShardWriterOptions& options,
                 ShardManifest manifest, WorkerPool* pool = nullptr);
  // Goes on with what save() described; files of the folder that are no part of it are deleted, but
  // for those that an `earlier` description needs where it is not null. Fails (data) when the
  // description or the files are damaged.
  ShardSetWriter(fs::path folder, const Tokenizer& tokenizer, const ShardWriterOptions& options,
                 const nlohmann::ordered_json& saved, const nlohmann::ordered_json& earlier,
                 WorkerPool* pool = nullptr);

  // As ShardWriter::add(). Returns the tokens of the document, 0 when it is left out.
  uint64_t add(ShardDirectory::Split split, std::span<const uint32_t> ids, uint64_t text_bytes);
  // Of all documents so far, those of unfinished files included.
  SplitInfo totals(ShardDirectory::Split split) const;
  // The manifest's list, for the caller to fill.
  std::vector<SourceInfo>& sources() { return manifest_.sources; }
  // Finishes all files; their manifest.
  const ShardManifest& finish();
  uint64_t finished_files() const { return finished_files_; }

  // Makes everything so far durable and describes it.
  nlohmann::ordered_json save();
  // Deletes what only descriptions before the last one need; call it when that one is durable and
  // those are not wanted any more.
  void drop_old();

 private:
  struct Open {
    std::unique_ptr<ShardFileWriter> file;  // none: the split has no unfinished file
    uint64_t text_bytes = 0;
  };
  void open_file(ShardDirectory::Split split);
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
  std::vector<fs::path> old_;
  uint64_t finished_files_ = 0;
};

}  // namespace mythos
