#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "data/readers.h"
#include "data/shards.h"

namespace mythos {

struct BuildOptions {
  // Share of the documents that go to validation. A document's place depends on the hash of its
  // text alone, so it is the same in any order and beside any other documents; equal documents stay
  // together.
  double val_fraction = 0.05;
  ShardWriterOptions writer;
  bool replace = false;
};

struct BuildSummary {
  ShardManifest manifest;
  uint64_t empty_documents = 0;  // left out
};

// Where a document goes, by the hash of its text.
ShardDirectory::Split split_of(std::string_view text, double val_fraction);

// Reads all documents, encodes them and writes a shard directory. A single document goes to train
// whatever its hash. Nothing when a stop signal came: then nothing was written either. Fails (data)
// when there is no text or all of it falls into validation.
std::optional<BuildSummary> build_shards(DocumentReader& reader, const Tokenizer& tokenizer,
                                         const fs::path& directory, const BuildOptions& options);

}  // namespace mythos
