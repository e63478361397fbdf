#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/strings.h"
#include "data/manifest.h"
#include "data/shard_file_writer.h"
#include "data/shards.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

constexpr std::string_view kShardSuffix = ".shard";

// Refuses every target that is not free, and with `replace` everything but shards and empty
// folders.
void check_target(const fs::path& directory, bool replace) {
  std::error_code status;
  if (fs::symlink_status(directory, status).type() == fs::file_type::not_found) return;
  const std::string name = directory.string();
  if (!replace) {
    fail(ErrorKind::usage,
         name + " already exists. Name another output, or replace shards with --force.");
  }
  const std::string refusal =
      name + " is not a shard directory; it is left alone. Name another output.";
  if (!fs::is_directory(directory, status)) fail(ErrorKind::usage, refusal);
  if (fs::is_empty(directory, status)) return;
  if (!is_shard_directory(directory)) fail(ErrorKind::usage, refusal);
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    const std::string file = entry.path().filename().string();
    const bool ours =
        file == kManifestName || file.starts_with("tokenizer.") || file.ends_with(kShardSuffix);
    if (!ours || !entry.is_regular_file()) {
      fail(ErrorKind::usage, name + " holds '" + escaped(file) +
                                 "', which is no part of a shard directory; it is left alone.\n"
                                 "Name another output, or move that file away.");
    }
  }
}

uint32_t special_id(bool wanted, std::optional<uint32_t> id, const char* name, const char* remedy) {
  if (wanted && !id) {
    fail(ErrorKind::usage,
         strprintf("the tokenizer has no %s token. %s, or use another tokenizer.", name, remedy));
  }
  return id.value_or(0);
}

}  // namespace

struct ShardWriter::State {
  State(const fs::path& target_, const Tokenizer& tokenizer_, const ShardWriterOptions& options_,
        bool replace_)
      : target(target_),
        options(options_),
        replace(replace_),
        bos(special_id(options_.bos, tokenizer_.bos_id(), "BOS", "Leave out --bos")),
        eos(special_id(options_.eos, tokenizer_.eos_id(), "EOS", "Use --no-eos")),
        directory(target_) {
    manifest.vocab_size = tokenizer_.vocab_size();
    manifest.dtype = manifest.vocab_size <= 1 << 16 ? "u16" : "u32";
    manifest.tokenizer_fingerprint = tokenizer_.fingerprint();
    manifest.tokenizer_file = tokenizer_.file_name();
    manifest.bos = options.bos;
    manifest.eos = options.eos;
    write_file_atomic(directory.path() / manifest.tokenizer_file, tokenizer_.file_content());
  }

  SplitInfo& info(Split split) { return split == Split::train ? manifest.train : manifest.val; }

  ShardFileWriter& open_file(Split split) {
    auto& file = files[static_cast<int>(split)];
    if (file && file->tokens() >= options.tokens_per_file) finish_file(split);
    if (!file) {
      const std::string name = strprintf("%s-%05zu%s", split == Split::train ? "train" : "val",
                                         info(split).files.size(), kShardSuffix.data());
      file = std::make_unique<ShardFileWriter>(directory.path() / name,
                                               manifest.dtype == "u16" ? 2 : 4,
                                               options.tokens_per_frame, options.zstd_level);
    }
    return *file;
  }
  void finish_file(Split split) {
    auto& file = files[static_cast<int>(split)];
    if (!file) return;
    info(split).files.push_back(file->finish());
    file.reset();
  }

  fs::path target;
  ShardWriterOptions options;
  bool replace;
  uint32_t bos, eos;
  ShardManifest manifest;
  AtomicDirectory directory;
  std::array<std::unique_ptr<ShardFileWriter>, 2> files;
};

ShardWriter::ShardWriter(const fs::path& directory, const Tokenizer& tokenizer,
                         const ShardWriterOptions& options, bool replace) {
  check_target(directory, replace);
  state_ = std::make_unique<State>(directory, tokenizer, options, replace);
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::add(ShardDirectory::Split split, std::span<const uint32_t> ids,
                      uint64_t text_bytes) {
  State& state = *state_;
  const uint64_t tokens = ids.size() + state.options.bos + state.options.eos;
  if (tokens == 0) return;
  for (const uint32_t id : ids) {
    if (id >= static_cast<uint64_t>(state.manifest.vocab_size)) {
      fail(ErrorKind::data, strprintf("token id %u is outside the tokenizer's vocabulary of %lld",
                                      id, static_cast<long long>(state.manifest.vocab_size)));
    }
  }
  ShardFileWriter& file = state.open_file(split);
  file.begin_document();
  if (state.options.bos) file.append({&state.bos, 1});
  file.append(ids);
  if (state.options.eos) file.append({&state.eos, 1});
  SplitInfo& info = state.info(split);
  info.tokens += tokens;
  info.documents += 1;
  info.text_bytes += text_bytes;
}

ShardManifest ShardWriter::commit() {
  State& state = *state_;
  if (state.manifest.train.documents + state.manifest.val.documents == 0) {
    fail(ErrorKind::data,
         "the input holds no text: no document was found, and nothing was written");
  }
  state.finish_file(Split::train);
  state.finish_file(Split::val);
  write_file_atomic(state.directory.path() / kManifestName, format_manifest(state.manifest));
  // The target may have appeared since.
  check_target(state.target, state.replace);
  state.directory.commit();
  return state.manifest;
}

}  // namespace mythos
