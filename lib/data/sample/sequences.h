#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/sample/sampler.h"

// What Sampler is made of: the sequences of one source in training order.
namespace mythos {

// A pseudo-random permutation of 0 … n-1, n ≥ 1, in O(1) memory; another one for each seed and
// epoch.
uint64_t permuted(uint64_t index, uint64_t n, uint64_t seed, uint64_t epoch);

// Sizes of pieces (each at most `capacity`) → sequences as lists of pieces, by best fit decreasing:
// each piece goes where it leaves the least room. The same sizes give the same sequences.
std::vector<std::vector<uint32_t>> best_fit(const std::vector<uint32_t>& sizes, uint32_t capacity);

// Where one sequence is written: seq_len values each.
struct SequenceRow {
  std::span<int64_t> inputs, targets;
  std::span<int32_t> document_begins;  // empty when not asked for
};

// Sequence `index` of group `group` of a pass. Groups are what has to be looked at together to know
// the order within them: the whole pass when contiguous, a few blocks of documents with best fit.
struct Place {
  uint64_t epoch = 0, group = 0, index = 0;
};

class SequenceOrder {
 public:
  virtual ~SequenceOrder() = default;
  // Writes the sequence at the place.
  virtual void read(const SequenceRow& row) = 0;
  virtual void advance() = 0;
  virtual Place place() const = 0;
  // False when there is no such place.
  virtual bool seek(const Place& place) = 0;
  // Passes done so far, the running one in part.
  virtual double epoch() const = 0;
};

// Both fail (data) when the split has too few tokens.
std::unique_ptr<SequenceOrder> contiguous_order(const ShardDirectory& data,
                                                ShardDirectory::Split split,
                                                const Sampler::Options& options);
std::unique_ptr<SequenceOrder> best_fit_order(const ShardDirectory& data,
                                              ShardDirectory::Split split,
                                              const Sampler::Options& options);

}  // namespace mythos
