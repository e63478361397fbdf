#pragma once
#include <cstdint>
#include <optional>

#include "data/read/readers.h"
#include "data/shards/shards.h"

namespace mythos {

struct BuildOptions {
  // Share of the documents that go to validation. A document's place depends on the hash of its
  // text alone, so it is the same in any order and beside any other documents; equal documents stay
  // together. In a fresh directory neither split is left empty where the text can be cut: see
  // parting.h.
  double val_fraction = 0.05;
  ShardWriterOptions writer;
  bool parse_special = false;  // names of special tokens in the text are those tokens
  bool replace = false;        // an existing directory, and unfinished work of another run
  bool append = false;  // to an existing directory, which must have the same tokenizer, BOS and EOS
  int64_t jobs = 1;     // tokenizer threads; a reading and a writing thread come on top
  double save_seconds = 10;  // between two saves of how far the work has come
};

struct DataCounts {
  uint64_t documents = 0, tokens = 0, text_bytes = 0;
};

struct BuildSummary {
  ShardManifest manifest;
  uint64_t empty_documents = 0;  // left out
  DataCounts added;              // by this command: all, or with `append` what is new
  DataCounts resumed;            // of these, what an unfinished run had done
  uint64_t text_bytes_here = 0;  // encoded by this call
};

// Reads all documents, encodes them and writes a shard directory, or adds to one; the result does
// not depend on `jobs`.
//
// Meanwhile a hidden folder beside the directory (WorkFolder) keeps what is done. A run that is
// killed, or that fails after its first save, leaves it there; the next one with the same inputs
// and options goes on with it, and the directory becomes the same, byte for byte. What cannot be
// told from names, sizes and times, such as standard input, is read again and compared by hash.
//
// Nothing when a stop signal came: then a warning told what is kept. Fails (data) when there is no
// text, (usage) when the work folder holds the work of another
// run.
std::optional<BuildSummary> build_shards(DocumentReader& reader, const Tokenizer& tokenizer,
                                         const fs::path& directory, const BuildOptions& options);

}  // namespace mythos
