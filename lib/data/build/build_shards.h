#pragma once
#include <cstdint>
#include <optional>

#include "data/read/readers.h"
#include "data/shards/shards.h"

namespace mythos {

struct BuildOptions {
  // The share of documents that go to validation. A document's split depends on the hash of its
  // text alone, so it is the same in any order and beside any other documents, and equal documents
  // stay together. In a new directory neither split is left empty if the text can be cut
  // (parting.h).
  double val_fraction = 0.05;
  ShardWriterOptions writer;
  bool parse_special = false;  // the names of special tokens in the text become those tokens
  // Replaces an existing directory, and the unfinished work of another run.
  bool replace = false;
  bool append = false;  // adds to an existing directory of the same tokenizer, BOS and EOS
  // Number of tokenizer threads; one reading and one writing thread come on top.
  int64_t jobs = 1;
  double save_seconds = 10;  // between two saves of the state of the work
  StopToken stop;            // ends the work; ReaderOptions::stop must be the same
};

struct DataCounts {
  uint64_t documents = 0, tokens = 0, text_bytes = 0;
};

struct BuildSummary {
  ShardManifest manifest;
  uint64_t empty_documents = 0;  // number of documents left out because they have no text
  // What this command added: all there is, or with `append` what is new.
  DataCounts added;
  DataCounts resumed;            // the part of `added` that an unfinished run had done
  uint64_t text_bytes_here = 0;  // bytes of text that this call encoded
};

// Reads all documents, encodes them and writes a shard directory, or adds to one; the result does
// not depend on `jobs`.
//
// During the work a hidden folder beside the directory (WorkFolder) keeps what is done. A run that
// is killed, or that fails after its first save, leaves the folder there; the next run with the
// same inputs and options goes on with it, and the directory becomes the same byte for byte. An
// input whose name, size and time do not identify its content, such as standard input, is read
// again and compared by hash.
//
// A stop saves what is done; a warning says what is kept, and then Stopped is thrown. Fails (data)
// if there is no text, and (usage) if the work folder holds the work of another run.
BuildSummary build_shards(DocumentReader& reader, const Tokenizer& tokenizer,
                          const fs::path& directory, const BuildOptions& options);

}  // namespace mythos
