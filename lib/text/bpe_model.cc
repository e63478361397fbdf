#include "text/bpe_model.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace mythos {
namespace {

constexpr uint32_t kNone = Vocabulary::kNone;
// Up to so many symbols, looking through all of them for each merge is quicker than a heap.
constexpr size_t kShort = 64;

uint64_t pair_key(uint32_t left, uint32_t right) {
  return uint64_t{left} << 32 | right;
}

// Both ways to merge work on symbols: tokens that stand for neighbouring bytes of the piece. A Rule
// tells the rank of two neighbours, from their ids or from the bytes `begin` to `end` that both
// cover, and the token that a rank gives.
struct ByBytes {
  const Vocabulary& vocabulary;
  std::string_view piece;
  uint32_t rank(uint32_t, uint32_t, size_t begin, size_t end) const {
    return vocabulary.find(piece.substr(begin, end - begin));
  }
  uint32_t merged(uint32_t rank) const { return rank; }
};

struct ByPair {
  const PairMerges& merges;
  uint32_t rank(uint32_t left, uint32_t right, size_t, size_t) const {
    return merges.rank(left, right);
  }
  uint32_t merged(uint32_t rank) const { return merges.merged(rank); }
};

// Takes symbols.size()² steps.
template <class Rule>
void merge_short(const Rule& rule, std::vector<uint32_t>& ids, size_t first) {
  struct Symbol {
    uint32_t id, begin, rank;  // rank: of this symbol and the next
  };
  Symbol symbols[kShort + 1];
  size_t count = ids.size() - first;
  for (size_t i = 0; i <= count; ++i) {
    symbols[i] = {i < count ? ids[first + i] : kNone, static_cast<uint32_t>(i), kNone};
  }
  const auto set_rank = [&](size_t i) {
    symbols[i].rank = i + 1 < count ? rule.rank(symbols[i].id, symbols[i + 1].id, symbols[i].begin,
                                                symbols[i + 2].begin)
                                    : kNone;
  };
  for (size_t i = 0; i < count; ++i) set_rank(i);
  for (;;) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i) {
      if (symbols[i].rank < symbols[best].rank) best = i;
    }
    if (symbols[best].rank == kNone) break;
    symbols[best].id = rule.merged(symbols[best].rank);
    std::copy(symbols + best + 2, symbols + count + 1, symbols + best + 1);
    --count;
    set_rank(best);
    if (best > 0) set_rank(best - 1);
  }
  for (size_t i = 0; i < count; ++i) ids[first + i] = symbols[i].id;
  ids.resize(first + count);
}

// The symbols as a linked list and the ranks in a heap; entries that a merge made stale are known
// by a rank that is no longer the symbol's.
template <class Rule>
class LongMerge {
 public:
  LongMerge(const Rule& rule, std::vector<uint32_t>& ids, size_t first)
      : rule_(rule), count_(static_cast<uint32_t>(ids.size() - first)), nodes_(count_) {
    for (uint32_t i = 0; i < count_; ++i) nodes_[i] = {ids[first + i], kNone, i - 1, i + 1};
    heap_.reserve(count_);
    for (uint32_t i = 0; i < count_; ++i) {
      if (set_rank(i)) heap_.push_back(entry(i));
    }
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    run();
    ids.resize(first);
    for (uint32_t i = 0; i < count_; i = nodes_[i].next) ids.push_back(nodes_[i].id);
  }

 private:
  struct Node {
    uint32_t id, rank, previous, next;
  };

  bool set_rank(uint32_t i) {
    Node& node = nodes_[i];
    node.rank = node.next < count_
                    ? rule_.rank(node.id, nodes_[node.next].id, i, nodes_[node.next].next)
                    : kNone;
    return node.rank != kNone;
  }
  uint64_t entry(uint32_t i) const { return pair_key(nodes_[i].rank, i); }
  void push(uint32_t i) {
    if (!set_rank(i)) return;
    heap_.push_back(entry(i));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  void run() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const auto rank = static_cast<uint32_t>(heap_.back() >> 32);
      const auto i = static_cast<uint32_t>(heap_.back());
      heap_.pop_back();
      Node& node = nodes_[i];
      if (node.rank != rank) continue;
      Node& right = nodes_[node.next];
      right.rank = kNone;
      node.id = rule_.merged(rank);
      node.next = right.next;
      if (node.next < count_) nodes_[node.next].previous = i;
      push(i);
      if (i > 0) push(node.previous);
    }
  }

  const Rule& rule_;
  uint32_t count_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> heap_;  // rank, then place: equal ranks merge from the left
};

template <class Rule>
void merge_symbols(const Rule& rule, std::vector<uint32_t>& ids, size_t first) {
  if (ids.size() - first <= kShort) {
    merge_short(rule, ids, first);
  } else {
    LongMerge(rule, ids, first);
  }
}

}  // namespace

PairMerges::PairMerges(size_t merges) {
  const int bits = std::bit_width(uint64_t{2} * merges + 1);
  shift_ = 64 - bits;
  slots_.assign(size_t{1} << bits, Slot{0, kNone});
  merged_.reserve(merges);
}

PairMerges::Slot& PairMerges::slot(uint64_t key) {
  size_t at = static_cast<size_t>(key * 0x9E3779B97F4A7C15u >> shift_);
  while (slots_[at].rank != kNone && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
  return slots_[at];
}

void PairMerges::add(uint32_t left, uint32_t right, uint32_t merged) {
  const uint64_t key = pair_key(left, right);
  slot(key) = {key, static_cast<uint32_t>(merged_.size())};
  merged_.push_back(merged);
}

uint32_t PairMerges::rank(uint32_t left, uint32_t right) const {
  return const_cast<PairMerges*>(this)->slot(pair_key(left, right)).rank;
}

BpeModel::BpeModel(BpeParts parts) : parts_(std::move(parts)) {
  if (parts_.merges && !parts_.whole_pieces) {
    reachable_ = std::make_unique<std::atomic<uint8_t>[]>(parts_.vocabulary.size());
  }
}

void BpeModel::encode(std::string_view piece, std::vector<uint32_t>& ids) const {
  const uint32_t id = parts_.vocabulary.find(piece);
  if (id != kNone && (!reachable_ || merges_give(id))) {
    ids.push_back(id);
  } else {
    merge(piece, ids);
  }
}

bool BpeModel::merges_give(uint32_t id) const {
  std::atomic<uint8_t>& known = reachable_[id];
  uint8_t answer = known.load(std::memory_order_relaxed);
  if (answer == kUnknown) {
    std::vector<uint32_t> ids;
    merge(parts_.vocabulary.bytes(id), ids);
    answer = ids.size() == 1 && ids[0] == id ? kYes : kNo;
    known.store(answer, std::memory_order_relaxed);
  }
  return answer == kYes;
}

void BpeModel::merge(std::string_view piece, std::vector<uint32_t>& ids) const {
  const size_t first = ids.size();
  bool after_unknown = false;
  for (const char c : piece) {
    uint32_t id = parts_.byte_ids[static_cast<unsigned char>(c)];
    const bool unknown = id == kNone;
    if (unknown) id = parts_.unknown_id;
    if (id != kNone && !(unknown && after_unknown && parts_.fuse_unknown)) ids.push_back(id);
    after_unknown = unknown;
  }
  if (!parts_.merges) {
    merge_symbols(ByBytes{parts_.vocabulary, piece}, ids, first);
  } else if (!parts_.merges->empty()) {
    merge_symbols(ByPair{*parts_.merges}, ids, first);
  }
}

}  // namespace mythos
