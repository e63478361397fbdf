#pragma once
#include <cstdint>
#include <optional>

#include "data/sample/sampler.h"

namespace mythos {

// The documents of a split as sequences in stream order, for measuring a model that was trained
// with Packing::best_fit. A document is kept whole in a sequence where it fits, and cut into
// windows (count_windows()) where it is longer; a sequence takes the next pieces as long as they
// fit, and the rest of it is padding. Every token of a document but its first is a target exactly
// once, in the first window that has it; other targets are -1.
class DocumentWindows {
 public:
  struct Options {
    uint64_t tokens = 0;  // of the split that are read, from its beginning; at most all
    int64_t seq_len = 1;  // S
    int64_t stride = 0;   // tokens between the windows of a long document, at most S; 0: S
    // Whether attention stays within documents. Otherwise a document's last token stands behind it,
    // so that it is seen by the next, as in training.
    bool masked = true;
  };
  DocumentWindows(const ShardDirectory& data, ShardDirectory::Split split, const Options& options);

  // The next sequences, at most `batch_size`, with document_begins; none at the end.
  Batch next(int64_t batch_size);

 private:
  struct Piece {
    uint64_t begin = 0, tokens = 0;
    uint64_t known = 0;  // targets that an earlier window has
  };
  std::optional<Piece> find_piece();
  uint64_t size_of(const Piece& piece) const { return piece.tokens - (options_.masked ? 1 : 0); }
  void append_row(Batch& batch);
  uint64_t write(const Piece& piece, uint64_t at, Batch& batch, uint64_t row);

  const ShardDirectory& data_;
  ShardDirectory::Split split_;
  Options options_;
  uint64_t length_, step_;
  uint64_t document_ = 0;         // at hand
  uint64_t begin_ = 0, end_ = 0;  // its tokens
  uint64_t next_begin_ = 0;       // of its next piece
  std::optional<Piece> waiting_;  // the piece that did not fit
  std::vector<uint32_t> buffer_;
};

}  // namespace mythos
