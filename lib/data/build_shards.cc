#include "data/build_shards.h"

#include "base/error.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/strings.h"
#include "text/tokenizer.h"

namespace mythos {

using Split = ShardDirectory::Split;

Split split_of(std::string_view text, double val_fraction) {
  const uint64_t hash = checksum64(std::as_bytes(std::span(text)));
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < val_fraction ? Split::val : Split::train;
}

std::optional<BuildSummary> build_shards(DocumentReader& reader, const Tokenizer& tokenizer,
                                         const fs::path& directory, const BuildOptions& options) {
  ShardWriter writer(directory, tokenizer, options.writer, options.replace);
  BuildSummary summary;
  uint64_t documents = 0, train_documents = 0, tokens = 0;
  std::vector<uint32_t> ids;
  Progress progress("tokenize", static_cast<int64_t>(reader.total_stored_bytes()), "bytes");
  const auto add = [&](const std::string& text, Split split) {
    ids.clear();
    tokenizer.encode(text, ids, Specials::as_text);
    writer.add(split, ids, text.size());
    tokens += ids.size();
    train_documents += split == Split::train;
  };
  // The first document waits for the second: a document that is alone is for training.
  std::string text, first;
  while (reader.next(text) && !stop_signal()) {
    if (text.empty()) {
      ++summary.empty_documents;
    } else if (documents++ == 0) {
      first = std::move(text);
    } else {
      if (documents == 2) add(first, split_of(first, options.val_fraction));
      add(text, split_of(text, options.val_fraction));
    }
    progress.update(static_cast<int64_t>(reader.stored_bytes()),
                    human_count(static_cast<double>(tokens)) + " tokens");
  }
  if (documents == 1 && !stop_signal()) add(first, Split::train);
  if (stop_signal()) return std::nullopt;
  if (documents > 0 && train_documents == 0) {
    fail(ErrorKind::data,
         strprintf("all %llu documents fell into the validation split, none is left to train on.\n"
                   "Lower --val-fraction, or give more documents.",
                   static_cast<unsigned long long>(documents)));
  }
  summary.manifest = writer.commit();
  return summary;
}

}  // namespace mythos
