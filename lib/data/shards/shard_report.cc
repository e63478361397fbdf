#include "data/shards/shard_report.h"

#include <algorithm>

#include "base/strings.h"

namespace mythos {
namespace {

const char* with_or_without(bool with) {
  return with ? "with" : "without";
}

std::string split_summary(const char* name, const SplitInfo& split) {
  return strprintf("%s %s tokens in %s documents", name, with_commas(split.tokens),
                   with_commas(split.documents));
}

std::string split_row(const char* name, const SplitInfo& split) {
  uint64_t stored_bytes = 0;
  for (const ShardFileInfo& file : split.files)
    stored_bytes += file.size_bytes + file.mask.size_bytes;
  return strprintf("%-6s %14s %16s %16s %12.2f %6u %12s\n", name, with_commas(split.documents),
                   with_commas(split.tokens), with_commas(split.text_bytes),
                   static_cast<double>(split.text_bytes) /
                       static_cast<double>(std::max<uint64_t>(split.tokens, 1)),
                   split.files.size(), human_bytes(static_cast<double>(stored_bytes)));
}

// The share of the tokens that count as targets, "12.3 %".
std::string counted_share(const SplitInfo& split) {
  return strprintf("%.1f %%", 100 * static_cast<double>(split.counted) /
                                  static_cast<double>(std::max<uint64_t>(split.tokens, 1)));
}

}  // namespace

std::string counted_summary(const ShardManifest& manifest) {
  std::string out;
  if (!manifest.masked) return out;
  out = "targets that count: train " + counted_share(manifest.train);
  if (manifest.val.tokens > 0) out += ", val " + counted_share(manifest.val);
  return out;
}

std::string splits_summary(const ShardManifest& manifest) {
  return split_summary("train", manifest.train) + ", " + split_summary("val", manifest.val);
}

std::string shards_summary(const fs::path& directory, const ShardManifest& manifest) {
  return strprintf("%s: %s; documents %s BOS and %s EOS", directory, splits_summary(manifest),
                   with_or_without(manifest.bos), with_or_without(manifest.eos));
}

std::string shards_table(const fs::path& directory, const ShardManifest& manifest) {
  return strprintf("directory   %s\n", shown(directory.string())) +
         strprintf("tokenizer   %s, fingerprint %s, vocabulary %s\n",
                   shown(manifest.tokenizer_file), shown(manifest.tokenizer_fingerprint),
                   with_commas(manifest.vocab_size)) +
         strprintf("tokens      %s, documents %s BOS and %s EOS\n\n", shown(manifest.dtype),
                   with_or_without(manifest.bos), with_or_without(manifest.eos)) +
         strprintf("%-6s %14s %16s %16s %12s %6s %12s\n", "split", "documents", "tokens",
                   "text bytes", "bytes/token", "files", "stored") +
         split_row("train", manifest.train) + split_row("val", manifest.val) +
         (manifest.masked ? "\n" + counted_summary(manifest) + "\n" : "");
}

}  // namespace mythos
