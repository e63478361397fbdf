#include <vector>

#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_set_writer.h"
#include "text/tokenizer.h"

namespace mythos {

void check_shard_target(const fs::path& directory, bool replace) {
  check_output(directory, OutputKind::directory);
  std::error_code status;
  if (!fs::exists(directory, status)) return;
  const std::string name = directory.string();
  if (!replace) {
    fail(ErrorKind::usage,
         name + " already exists. Name another output, or replace shards with --force.");
  }
  const std::string refusal =
      name + " is not a shard directory; it is left alone. Name another output.";
  if (fs::is_empty(directory, status)) return;
  if (!is_shard_directory(directory)) fail(ErrorKind::usage, refusal);
  const fs::directory_iterator entries(directory, status);
  if (status) fail(ErrorKind::resources, "cannot read " + name + ": " + status.message());
  for (const fs::directory_entry& entry : entries) {
    const std::string file = entry.path().filename().string();
    const bool ours = file == kShardManifestName || file.starts_with("tokenizer.") ||
                      file.ends_with(kShardSuffix) || file.ends_with(kMaskSuffix) ||
                      is_unfinished_manifest(entry.path());
    if (!ours || !entry.is_regular_file()) {
      fail(ErrorKind::usage,
           name + " holds '" + escaped(file) +
               "', which is no part of a shard directory; it is left alone.",
           "Name another output, or move that file away.");
    }
  }
}

struct ShardWriter::State {
  State(const fs::path& target_, const Tokenizer& tokenizer, const ShardWriterOptions& options,
        bool replace_)
      : target(target_),
        replace(replace_),
        empty(empty_manifest(tokenizer, options)),
        directory(target_),
        files(directory.path(), tokenizer, options, empty) {
    write_file_atomic(directory.path() / empty.tokenizer_file, tokenizer.file_content());
  }

  fs::path target;
  bool replace;
  ShardManifest empty;
  AtomicDirectory directory;
  ShardSetWriter files;
};

ShardWriter::ShardWriter(const fs::path& directory, const Tokenizer& tokenizer,
                         const ShardWriterOptions& options, bool replace) {
  check_shard_target(directory, replace);
  state_ = std::make_unique<State>(directory, tokenizer, options, replace);
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::add(ShardDirectory::Split split, std::span<const uint32_t> ids,
                      uint64_t text_bytes, std::span<const uint32_t> mask) {
  state_->files.add(split, ids, text_bytes, mask);
  state_->files.drop_old();
}

void ShardWriter::finish() {
  state_->files.finish();
  state_->files.drop_old();
}

void ShardWriter::set_sources(std::vector<SourceInfo> sources) {
  state_->files.sources() = std::move(sources);
}

ShardManifest ShardWriter::commit() {
  State& state = *state_;
  const ShardManifest manifest = state.files.finish();
  if (manifest.train.documents + manifest.val.documents == 0) {
    fail(ErrorKind::data,
         "the input holds no text: no document was found, and nothing was written");
  }
  state.files.drop_old();
  write_file_atomic(state.directory.path() / kShardManifestName, format_manifest(manifest));
  // The target may have appeared since the writer was made.
  check_shard_target(state.target, state.replace);
  state.directory.commit();
  return manifest;
}

}  // namespace mythos
