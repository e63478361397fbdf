#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/sample/sampler.h"

// The parts of Sampler: the sequences of one source in training order.
namespace mythos {

// A pseudo-random permutation of 0 … n-1, n ≥ 1, in O(1) memory; each seed and epoch has its own.
uint64_t permuted(uint64_t index, uint64_t n, uint64_t seed, uint64_t epoch);

// Packs pieces, of which each size is at most `capacity`, into sequences and returns these as lists
// of pieces. Best fit decreasing: each piece goes where it leaves the least room. The same sizes
// give the same sequences.
std::vector<std::vector<uint32_t>> best_fit(const std::vector<uint32_t>& sizes, uint32_t capacity);

// The memory into which a sequence is written: seq_len values each.
struct SequenceRow {
  std::span<int64_t> inputs, targets;
  std::span<int32_t> document_begins;  // empty if not asked for
};

// Sets each target to -1 whose token does not count: `mask` has a mark for each target.
inline void leave_out_uncounted(std::span<int64_t> targets, std::span<const uint32_t> mask) {
  for (size_t i = 0; i < targets.size(); ++i)
    if (mask[i] == 0) targets[i] = -1;
}

// Identifies a sequence: number `index` of group `group` of pass `epoch`. A group is the data that
// must be looked at together to know the order within it: the whole pass if contiguous, a few
// blocks of documents with best fit.
struct SequenceId {
  uint64_t epoch = 0, group = 0, index = 0;
};

class SequenceOrder {
 public:
  virtual ~SequenceOrder() = default;
  // Writes the sequence at hand.
  virtual void read(const SequenceRow& row) = 0;
  virtual void advance() = 0;
  virtual SequenceId current() const = 0;
  // Moves to another sequence; returns false if there is no such sequence.
  virtual bool seek(const SequenceId& id) = 0;
  // The number of passes so far; the running pass counts in part.
  virtual double epoch() const = 0;
};

// Writes the position among consecutive tokens of a split, from `first` on, at which each one's
// document begins; 0 where that is before them.
void write_document_begins(const ShardDirectory& data, ShardDirectory::Split split, uint64_t first,
                           std::span<int32_t> begins);

// The two orders. Making them fails (data) if the split has too few tokens.
std::unique_ptr<SequenceOrder> contiguous_order(const ShardDirectory& data,
                                                ShardDirectory::Split split,
                                                const Sampler::Options& options);
std::unique_ptr<SequenceOrder> best_fit_order(const ShardDirectory& data,
                                              ShardDirectory::Split split,
                                              const Sampler::Options& options);

}  // namespace mythos
