#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "data/shards.h"

namespace mythos {

// A batch of B sequences of S tokens: targets[b,s] is the token after inputs[b,s].
struct Batch {
  std::vector<int64_t> inputs, targets;  // [B,S]
  int64_t batch_size = 0, seq_len = 0;
};

// Training order. The split's stream is cut into windows of S+1 tokens that overlap by one, so
// every token but the first is a target exactly once per epoch (the last, shorter window is moved
// back to end with the stream; its repeated targets are -1). Windows are visited in a pseudo-random
// permutation of (seed, epoch), computed in O(1) memory, and dealt to ranks in turn.
class Sampler {
 public:
  struct Options {
    int64_t batch_size = 1, seq_len = 1;
    uint64_t seed = 1;
    int64_t rank = 0, world = 1;
  };
  // Fails (data) when the split has fewer than seq_len+1 tokens, telling how many there are.
  Sampler(const ShardDirectory& data, ShardDirectory::Split split, const Options& options);

  Batch next();

  // The place in the order, to be saved with a checkpoint and restored exactly:
  // {"windows": windows dealt to all ranks so far, "seed":, "seq_len":, "tokens": of the split}.
  nlohmann::json cursor() const;
  // Fails (data) when the cursor belongs to other data, another seed or sequence length.
  void restore(const nlohmann::json& cursor);
  double epoch() const;  // 1.5: half of the second pass is done … counted from 0

 private:
  uint64_t window_at(uint64_t position) const;

  const ShardDirectory& data_;
  ShardDirectory::Split split_;
  Options options_;
  uint64_t tokens_ = 0, windows_per_epoch_ = 0, position_ = 0;
};

// Windows first … of a split in stream order for validation: every target once, the last window
// padded with target -1. Empty when the end is reached.
Batch sequential_batch(const ShardDirectory& data, ShardDirectory::Split split,
                       uint64_t first_window, int64_t batch_size, int64_t seq_len);

}  // namespace mythos
