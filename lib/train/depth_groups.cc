#include "train/depth_groups.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/rng.h"

namespace mythos {
namespace {

constexpr uint64_t kStateStream = 0x7374617465;
constexpr uint64_t kSequencesPerStep = 1 << 24;

// A sequence's place: micro-batch and row.
struct SequencePlace {
  const Batch* batch;
  int64_t row;
  size_t index;  // in the step
};

std::vector<SequencePlace> places_of(const std::vector<Batch>& micro_batches) {
  std::vector<SequencePlace> places;
  for (const Batch& batch : micro_batches) {
    for (int64_t row = 0; row < batch.batch_size; ++row) {
      places.push_back({&batch, row, places.size()});
    }
  }
  return places;
}

template <class T>
void append_row(const std::vector<T>& from, const SequencePlace& place, std::vector<T>& to) {
  if (from.empty()) return;
  const auto begin = from.begin() + place.row * place.batch->seq_len;
  to.insert(to.end(), begin, begin + place.batch->seq_len);
}

void append_sequence(const SequencePlace& place, Batch& to) {
  append_row(place.batch->inputs, place, to.inputs);
  append_row(place.batch->targets, place, to.targets);
  append_row(place.batch->document_begins, place, to.document_begins);
  to.seq_len = place.batch->seq_len;
  ++to.batch_size;
}

}  // namespace

std::vector<DepthGroup> depth_groups(const std::vector<Batch>& micro_batches,
                                     std::span<const int64_t> loops,
                                     std::span<const int32_t> state_seeds) {
  std::vector<SequencePlace> places = places_of(micro_batches);
  const auto depth = [&](const SequencePlace& place) { return loops[place.index]; };
  const bool equal = std::ranges::adjacent_find(loops, std::ranges::not_equal_to()) == loops.end();
  if (!equal) std::ranges::stable_sort(places, {}, depth);
  std::vector<DepthGroup> groups;
  for (const SequencePlace& place : places) {
    const auto fits = [&] {
      if (groups.empty()) return false;
      const Batch& last = groups.back().batch;
      if (equal) return place.row > 0;
      return groups.back().loops == depth(place) && last.seq_len == place.batch->seq_len &&
             last.batch_size < micro_batches[0].batch_size;
    };
    if (!fits()) groups.push_back({{}, depth(place)});
    append_sequence(place, groups.back().batch);
    if (!state_seeds.empty()) groups.back().state_seeds.push_back(state_seeds[place.index]);
  }
  return groups;
}

std::vector<int32_t> state_seeds_of_step(uint64_t seed, int64_t step, int64_t count) {
  Rng rng(seed, kStateStream, static_cast<uint64_t>(step) * kSequencesPerStep);
  std::vector<int32_t> seeds;
  for (int64_t i = 0; i < count; ++i) {
    seeds.push_back(static_cast<int32_t>(static_cast<uint32_t>(rng.next() >> 32)));
  }
  return seeds;
}

double mean_loops(std::span<const int64_t> loops) {
  return static_cast<double>(std::accumulate(loops.begin(), loops.end(), int64_t{0})) /
         static_cast<double>(loops.size());
}

}  // namespace mythos
