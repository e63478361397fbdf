#pragma once
#include "base/files.h"
#include "data/exchange/interchange.h"
#include "data/shards/stored_documents.h"

// Megatron's indexed data sets (its megatron/core/datasets/indexed_dataset.py): the tokens of all
// sequences in PREFIX.bin; in PREFIX.idx "MMIDIDX\0\0", version 1 (u64), a code of the tokens' type
// (u8), the counts of sequences and of the entries of the document index (u64), then the sequences'
// lengths in tokens (i32) and offsets in bytes (i64), and the document index: for each document the
// number of its first sequence, and the end (i64). Little-endian.
namespace mythos {

// Writes a split as NAME.bin and NAME.idx of a folder and adds them to the summary. A document is
// one sequence, as stored, or several if it is longer than a sequence can be.
void write_megatron(const ShardDirectory& shards, ShardDirectory::Split split,
                    const fs::path& folder, const ExportOptions& options, ExportSummary& summary);

// A pair of .bin and .idx files, opened for reading. Opening checks the index; every failure is an
// Error (data) with file and byte.
class MegatronFile {
 public:
  // `path` may end in .bin, .idx or neither.
  explicit MegatronFile(const fs::path& path);

  uint64_t documents() const { return documents_; }
  // Reads the ids of a document, all its sequences joined. Fails (data) on an id outside the
  // vocabulary.
  void read(uint64_t document, uint64_t vocab_size, std::vector<uint32_t>& ids) const;

 private:
  [[noreturn]] void fail_index(uint64_t offset, const std::string& what) const;
  void check_header();
  void check_sequences() const;
  void check_documents() const;
  uint64_t length(uint64_t sequence) const;          // tokens
  uint64_t pointer(uint64_t sequence) const;         // bytes
  uint64_t first_sequence(uint64_t document) const;  // of documents(): the end

  MappedFile index_, tokens_;
  uint32_t token_bytes_ = 0;
  bool signed_ = false;
  uint64_t sequences_ = 0, documents_ = 0;
};

}  // namespace mythos
