#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/packing.h"
#include "data/shards/shards.h"

namespace mythos {

// A batch of B sequences of S tokens: targets[b,s] is the token after inputs[b,s], or -1 if nothing
// is to be learned there, as in padding and where a mask says so.
struct Batch {
  std::vector<int64_t> inputs, targets;  // [B,S]
  // [B,S]: the position in its sequence at which each token's document begins, so that attention
  // can be kept within documents; empty if it was not asked for.
  std::vector<int32_t> document_begins;
  int64_t batch_size = 0, seq_len = 0;
};

// Shards to draw from, and the share of the sequences that come from them. Shares need not sum to
// 1.
struct DataSource {
  const ShardDirectory* shards = nullptr;
  double weight = 1;
};

// Fails (data), naming two directories and their fingerprints, unless all sources were made with
// one tokenizer.
void require_one_tokenizer(const std::vector<DataSource>& sources);

// Draws sequences in training order: the n-th sequence is a function of (sources, seed, epoch, n)
// alone. The sequences of a source are visited in a pseudo-random order that is computed, not
// stored; sources take turns by weight; rank r of `world` takes sequences r, r+world, … Memory and
// the time to the first batch do not grow with the data.
class Sampler {
 public:
  struct Options {
    int64_t batch_size = 1, seq_len = 1;
    uint64_t seed = 1;
    int64_t rank = 0, world = 1;
    Packing packing = Packing::contiguous;
    bool document_begins = false;  // fill Batch::document_begins
    bool shuffle = true;           // if false, stream order
  };
  // Fails (data) if a split has too few tokens, naming their number, if masks leave a split no
  // target, or if the sources were made with different tokenizers; fails (usage) on a weight that
  // is not positive.
  Sampler(std::vector<DataSource> sources, ShardDirectory::Split split, const Options& options);
  ~Sampler();
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;

  Batch next();

  // The state of the order, to be saved with a checkpoint and restored exactly, also with another
  // number of ranks or another batch size: {"sequences": drawn by all ranks, "seed":, "seq_len":,
  // "packing":, "shuffle":, "sources": [{"data": checksum, "tokens": of the split, "weight": share,
  // "sequences":, "epoch":, "group":, "index": of the next sequence}]}.
  nlohmann::json cursor() const;
  // Goes on from a saved cursor. Fails (usage) if it belongs to other weights, packing, seed or
  // sequence length, and (data) if it belongs to other data. Also reads cursors from before there
  // were several sources: {"windows":, "seed":, "seq_len":, "tokens":, "data":}.
  void restore(const nlohmann::json& cursor);
  // The number of passes over the data so far: 1.5 is the middle of the second pass. With several
  // sources, the largest of theirs.
  double epoch() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Draws batches ahead on a thread of its own, so that training does not wait for them.
class Prefetcher {
 public:
  explicit Prefetcher(Sampler sampler, size_t depth = 2);
  ~Prefetcher();

  // The next batch; waits only if none is ready. Throws the errors of the thread.
  Batch next();
  // The cursor after the batch that next() gave last, for a checkpoint.
  nlohmann::json cursor() const;
  double epoch() const;
  // The seconds that next() has waited so far.
  double waited_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The number of windows of seq_len+1 tokens that cover a stream. Each begins `stride` tokens after
// the window before it; a stride is at most seq_len, and 0 means seq_len. The last window may be
// shorter.
uint64_t count_windows(uint64_t tokens, int64_t seq_len, int64_t stride = 0);

// A batch of a split's windows from `first` on, in stream order, for validation; the windows are
// those of count_windows(). Every target occurs once, in the first window that has it. In other
// windows, and in the padding of the last window, the target is -1. The batch is empty at the end.
Batch sequential_batch(const ShardDirectory& data, ShardDirectory::Split split,
                       uint64_t first_window, int64_t batch_size, int64_t seq_len,
                       int64_t stride = 0, bool document_begins = false);

}  // namespace mythos
