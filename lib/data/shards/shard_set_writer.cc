#include "data/shards/shard_set_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "data/shards/manifest.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;
using Split = ShardDirectory::Split;

void require(bool wanted, std::optional<uint32_t> id, const char* name, const char* remedy) {
  if (wanted && !id) {
    fail(ErrorKind::usage, strprintf("the tokenizer has no %s token. %s", name, remedy));
  }
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return bytes;
}

// Marks are stored as tokens of 0 or 1.
constexpr uint32_t kMarkBytes = 2;

fs::path mask_name(fs::path shard) {
  return shard.replace_extension(kMaskSuffix);
}

ordered_json saved_file(ShardFileWriter& file) {
  const ShardFileState state = file.save();
  return {{"name", file.name()},
          {"size_bytes", state.size_bytes},
          {"tokens", state.tokens},
          {"documents", state.documents},
          {"frame_table", to_hex(state.frame_table)},
          {"frame", to_hex(state.frame)},
          {"documents_sum", state.documents_sum}};
}

ShardFileState state_of(const ordered_json& saved) {
  return {saved.at("size_bytes"),
          saved.at("tokens"),
          saved.at("documents"),
          from_hex(saved.at("frame_table").get<std::string>()),
          from_hex(saved.at("frame").get<std::string>()),
          saved.at("documents_sum")};
}

}  // namespace

ShardManifest empty_manifest(const Tokenizer& tokenizer, const ShardWriterOptions& options) {
  require(options.bos, tokenizer.bos_id(), "BOS", "Name one with --bos-token, or leave out --bos.");
  require(options.eos, tokenizer.eos_id(), "EOS", "Name one with --eos-token, or use --no-eos.");
  ShardManifest manifest;
  manifest.vocab_size = tokenizer.vocab_size();
  manifest.dtype = manifest.vocab_size <= 1 << 16 ? "u16" : "u32";
  manifest.tokenizer_fingerprint = tokenizer.fingerprint();
  manifest.tokenizer_file = tokenizer.file_name();
  manifest.bos = options.bos;
  manifest.eos = options.eos;
  manifest.masked = options.masked;
  return manifest;
}

ShardSetWriter::ShardSetWriter(fs::path folder, const Tokenizer& tokenizer,
                               const ShardWriterOptions& options, ShardManifest manifest,
                               WorkerPool* pool)
    : folder_(std::move(folder)),
      options_(options),
      pool_(pool),
      bos_(tokenizer.bos_id().value_or(0)),
      eos_(tokenizer.eos_id().value_or(0)),
      token_bytes_(manifest.dtype == "u16" ? 2 : 4),
      manifest_(std::move(manifest)) {}

ShardSetWriter::ShardSetWriter(fs::path folder, const Tokenizer& tokenizer,
                               const ShardWriterOptions& options, const ordered_json& saved,
                               const ordered_json& earlier, WorkerPool* pool)
    : ShardSetWriter(std::move(folder), tokenizer, options,
                     parse_manifest(saved.at("manifest").get<std::string>(), "manifest"), pool) {
  for (const Split split : {Split::train, Split::val}) {
    const ordered_json& unfinished = saved.at(split_name(split));
    if (unfinished.is_null()) continue;
    const auto go_on = [&](const ordered_json& file, uint32_t token_bytes) {
      return std::make_unique<ShardFileWriter>(folder_ / file.at("name").get<std::string>(),
                                               token_bytes, options_.tokens_per_frame,
                                               options_.zstd_level, state_of(file), pool_);
    };
    open(split).text_bytes = unfinished.at("text_bytes");
    open(split).file = go_on(unfinished, token_bytes_);
    if (!manifest_.masked) continue;
    open(split).counted = unfinished.at("counted");
    open(split).mask = go_on(unfinished.at("mask"), kMarkBytes);
  }
  delete_strangers(earlier);
}

void ShardSetWriter::delete_strangers(const ordered_json& earlier) {
  std::set<std::string> known = {manifest_.tokenizer_file};
  for (const SplitInfo* split : {&manifest_.train, &manifest_.val})
    for (const ShardFileInfo& file : split->files) known.insert({file.name, file.mask.name});
  for (const Open& open : open_) {
    for (const ShardFileWriter* file : {open.file.get(), open.mask.get()}) {
      if (!file) continue;
      known.insert(file->name());
      known.insert(ShardFileWriter::index_path(file->name()));
    }
  }
  for (const Split split : {Split::train, Split::val}) {
    if (earlier.is_null() || earlier.at(split_name(split)).is_null()) continue;
    const fs::path shard = earlier.at(split_name(split)).at("name").get<std::string>();
    for (const fs::path& file : {shard, mask_name(shard)}) {
      if (known.insert(ShardFileWriter::index_path(file)).second)
        old_.push_back(ShardFileWriter::index_path(folder_ / file));
    }
  }
  std::vector<fs::path> strangers;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
    if (!known.contains(entry.path().filename().string())) strangers.push_back(entry.path());
  for (const fs::path& path : strangers) fs::remove(path);
}

SplitInfo& ShardSetWriter::info(Split split) {
  return split == Split::train ? manifest_.train : manifest_.val;
}

void ShardSetWriter::open_file(Split split) {
  const auto taken = [&](const std::string& name) {
    return std::any_of(info(split).files.begin(), info(split).files.end(),
                       [&](const ShardFileInfo& file) { return file.name == name; });
  };
  std::string name;
  for (size_t number = info(split).files.size(); name.empty() || taken(name); ++number)
    name = strprintf("%s-%05u%s", split_name(split), number, kShardSuffix);
  const auto begin = [&](const fs::path& file, uint32_t token_bytes) {
    return std::make_unique<ShardFileWriter>(folder_ / file, token_bytes, options_.tokens_per_frame,
                                             options_.zstd_level, pool_);
  };
  open(split) = {};
  open(split).file = begin(name, token_bytes_);
  if (!manifest_.masked) return;
  open(split).mask = begin(mask_name(name), kMarkBytes);
  open(split).mask->begin_document();  // the only one: documents are the shard's
}

void ShardSetWriter::finish_file(Split split) {
  Open& unfinished = open(split);
  if (!unfinished.file) return;
  SplitInfo& totals = info(split);
  totals.files.push_back(unfinished.file->finish());
  totals.tokens += totals.files.back().tokens;
  totals.documents += totals.files.back().documents;
  totals.text_bytes += unfinished.text_bytes;
  old_.push_back(ShardFileWriter::index_path(folder_ / unfinished.file->name()));
  if (unfinished.mask) {
    const ShardFileInfo mask = unfinished.mask->finish();
    totals.files.back().mask = {mask.name, mask.size_bytes, mask.checksum, unfinished.counted};
    totals.counted += unfinished.counted;
    old_.push_back(ShardFileWriter::index_path(folder_ / mask.name));
  }
  unfinished = {};
  ++finished_files_;
}

void ShardSetWriter::add_mask(Split split, std::span<const uint32_t> mask, uint64_t tokens) {
  if (!mask.empty() && (!manifest_.masked || mask.size() != tokens)) {
    fail(ErrorKind::internal, strprintf("a mask of %u tokens for a document of %u%s", mask.size(),
                                        tokens, manifest_.masked ? "" : " without masks"));
  }
  if (!manifest_.masked) return;
  if (mask.empty()) {
    all_ones_.resize(std::max<size_t>(all_ones_.size(), tokens), 1);
    mask = std::span(all_ones_).first(tokens);
  }
  open(split).counted += static_cast<uint64_t>(std::count(mask.begin(), mask.end(), 1u));
  open(split).mask->append(mask);
}

uint64_t ShardSetWriter::add(Split split, std::span<const uint32_t> ids, uint64_t text_bytes,
                             std::span<const uint32_t> mask) {
  const uint64_t tokens = ids.size() + manifest_.bos + manifest_.eos;
  if (tokens == 0) return 0;
  for (const uint32_t id : ids) {
    if (id >= static_cast<uint64_t>(manifest_.vocab_size)) {
      fail(ErrorKind::data, strprintf("token id %u is outside the tokenizer's vocabulary of %d", id,
                                      manifest_.vocab_size));
    }
  }
  if (!open(split).file) open_file(split);
  ShardFileWriter& file = *open(split).file;
  file.begin_document();
  if (manifest_.bos) file.append({&bos_, 1});
  file.append(ids);
  if (manifest_.eos) file.append({&eos_, 1});
  add_mask(split, mask, tokens);
  open(split).text_bytes += text_bytes;
  if (file.tokens() >= options_.tokens_per_file) finish_file(split);
  return tokens;
}

SplitInfo ShardSetWriter::totals(Split split) const {
  SplitInfo totals = split == Split::train ? manifest_.train : manifest_.val;
  totals.files.clear();
  const Open& unfinished = open_[static_cast<int>(split)];
  if (!unfinished.file) return totals;
  totals.tokens += unfinished.file->tokens();
  totals.documents += unfinished.file->documents();
  totals.text_bytes += unfinished.text_bytes;
  totals.counted += unfinished.counted;
  return totals;
}

const ShardManifest& ShardSetWriter::finish() {
  finish_file(Split::train);
  finish_file(Split::val);
  return manifest_;
}

ordered_json ShardSetWriter::save() {
  ordered_json saved = {{"manifest", format_manifest(manifest_)}};
  for (const Split split : {Split::train, Split::val}) {
    ordered_json& unfinished = saved[split_name(split)] = nullptr;
    if (!open(split).file) continue;
    unfinished = saved_file(*open(split).file);
    unfinished["text_bytes"] = open(split).text_bytes;
    if (!open(split).mask) continue;
    unfinished["counted"] = open(split).counted;
    unfinished["mask"] = saved_file(*open(split).mask);
  }
  return saved;
}

void ShardSetWriter::drop_old() {
  for (const fs::path& path : old_) fs::remove(path);
  old_.clear();
}

}  // namespace mythos
