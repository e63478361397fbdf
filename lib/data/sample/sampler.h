#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/packing.h"
#include "data/shards/shards.h"

namespace mythos {

// A batch of B sequences of S tokens: targets[b,s] is the token after inputs[b,s], or -1 where
// nothing is to be learned.
struct Batch {
  std::vector<int64_t> inputs, targets;  // [B,S]
  // [B,S]: the position in its sequence at which each token's document begins, so that attention
  // can be kept within documents; empty when that was not asked for.
  std::vector<int32_t> document_begins;
  int64_t batch_size = 0, seq_len = 0;
};

// Shards to draw from, and the share of the sequences that come from them (need not sum to 1).
struct DataSource {
  const ShardDirectory* shards = nullptr;
  double weight = 1;
};

// Fails (data), naming two directories and their fingerprints, unless all sources were made with
// one tokenizer.
void require_one_tokenizer(const std::vector<DataSource>& sources);

// Training order: which sequence is drawn n-th is a function of (sources, seed, epoch, n) alone.
// Sequences of one source are visited in a pseudo-random order that is computed, not stored;
// sources take turns by weight; rank r of `world` takes sequences r, r+world, … Memory and time to
// the first batch do not grow with the data.
class Sampler {
 public:
  struct Options {
    int64_t batch_size = 1, seq_len = 1;
    uint64_t seed = 1;
    int64_t rank = 0, world = 1;
    Packing packing = Packing::contiguous;
    bool document_begins = false;  // fill Batch::document_begins
    bool shuffle = true;           // false: stream order
  };
  // Fails (data) when a split has too few tokens, telling how many there are, or when the sources
  // were made with different tokenizers; (usage) on a weight that is not positive.
  Sampler(std::vector<DataSource> sources, ShardDirectory::Split split, const Options& options);
  ~Sampler();
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;

  Batch next();

  // The place in the order, to be saved with a checkpoint and restored exactly, also by another
  // number of ranks or with another batch size: {"sequences": drawn by all ranks, "seed":,
  // "seq_len":, "packing":, "shuffle":, "sources": [{"data": checksum, "tokens": of the split,
  // "weight": share, "sequences":, "epoch":, "group":, "index": of the next one}]}.
  nlohmann::json cursor() const;
  // Fails when the cursor belongs to other weights, packing, seed or sequence length (usage), or to
  // other data (data).
  // Reads the cursors of before there were several sources too: {"windows":, "seed":, "seq_len":,
  // "tokens":, "data":}.
  void restore(const nlohmann::json& cursor);
  // Passes over the data so far, counted from 0: 1.5 is the middle of the second. The largest over
  // the sources.
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

  // Waits only when nothing is ready. Errors of the thread are thrown here.
  Batch next();
  // The place behind the batch that next() gave last: what a checkpoint saves.
  nlohmann::json cursor() const;
  double epoch() const;
  // Seconds that next() has waited so far.
  double waited_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Windows of seq_len+1 tokens that cover a stream, each beginning `stride` tokens (at most seq_len,
// which is what 0 means) behind the one before; the last may be shorter.
uint64_t count_windows(uint64_t tokens, int64_t seq_len, int64_t stride = 0);

// Windows first … of a split in stream order for validation, placed as
// count_windows() says: every target once, in the first
// window that has it. Where another window has it, and where the last window is padded, the target
// is -1. Empty when the end is reached.
Batch sequential_batch(const ShardDirectory& data, ShardDirectory::Split split,
                       uint64_t first_window, int64_t batch_size, int64_t seq_len,
                       int64_t stride = 0);

}  // namespace mythos
