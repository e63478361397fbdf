#include "text/pieces/bpe_model.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <span>

#include "base/utf8.h"
#include "text/pieces/recent_pieces.h"

namespace mythos {
namespace {

constexpr uint32_t kNone = Vocabulary::kNone;
// For up to so many symbols, searching all of them for each merge is quicker than a heap.
constexpr size_t kShort = 64;

uint64_t pair_key(uint32_t left, uint32_t right) {
  return uint64_t{left} << 32 | right;
}

// Merging works on symbols: tokens that stand for neighbouring bytes of the piece. A Rule (ByBytes
// or ByPairs) gives the rank of two neighbours, found by their ids or by the bytes from `begin` to
// `end` that the two cover, and the token that a rank leads to.
struct ByBytes {
  const Vocabulary& vocabulary;
  std::string_view piece;
  uint32_t rank(uint32_t, uint32_t, size_t begin, size_t end) const {
    if (end - begin == 2) {
      return vocabulary.find_pair(static_cast<unsigned char>(piece[begin]),
                                  static_cast<unsigned char>(piece[begin + 1]));
    }
    const std::string_view both = piece.substr(begin, end - begin);
    return vocabulary.find_rare(both, Vocabulary::Key(both));
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

// Merges by searching all symbols for the lowest rank: symbols.size()² steps.
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

// Merges with the symbols in a linked list and the ranks in a heap. A merge leaves stale entries in
// the heap; their rank is no longer that of their symbol.
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
  // Rank, then the symbol's index, so that equal ranks merge from the left.
  std::vector<uint64_t> heap_;
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

int BpeParts::find_byte_ids() {
  int first_missing = -1;
  for (int byte = 255; byte >= 0; --byte) {
    const char c = static_cast<char>(byte);
    const uint32_t id = vocabulary.find({&c, 1});
    byte_ids[static_cast<size_t>(byte)] = id;
    if (id == kNone) first_missing = byte;
  }
  return first_missing;
}

BpeModel::BpeModel(BpeParts parts)
    : parts_(std::move(parts)), number_(RecentPieces::next_model_number()) {
  if (parts_.merges && !parts_.whole_pieces) {
    reachable_ = std::make_unique<std::atomic<uint8_t>[]>(parts_.vocabulary.size());
  }
  for (size_t byte = 0; byte < last_byte_ids_.size() && !parts_.characters; ++byte) {
    last_byte_ids_[byte] = parts_.suffix.empty()
                               ? parts_.byte_ids[byte]
                               : parts_.vocabulary.find(static_cast<char>(byte) + parts_.suffix);
  }
  if (!parts_.characters) return;
  for (size_t i = 0; i < ascii_ids_.size(); ++i) {
    const char c = static_cast<char>(i);
    ascii_ids_[i] = parts_.vocabulary.find({&c, 1});
  }
  // A part of a cut piece must not be taken for a whole piece.
  if (!parts_.whole_pieces && parts_.suffix.empty()) {
    std::vector<std::string_view> tokens;
    for (uint32_t id = 0; id < vocabulary().size(); ++id) tokens.push_back(vocabulary().bytes(id));
    pairs_ = std::make_unique<JoinedPairs>(tokens);
  }
  cuts_anywhere_ =
      parts_.unknown_id == kNone ||
      std::find(parts_.byte_ids.begin(), parts_.byte_ids.end(), kNone) == parts_.byte_ids.end();
}

void BpeModel::encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const {
  if (parts_.characters) {
    begin_with_bytes(bytes, false, ids);
  } else if (!bytes.empty()) {
    encode(bytes, Vocabulary::Key(bytes), ids);
  }
}

bool BpeModel::text_gives(uint32_t id) const {
  if (!parts_.merges || parts_.whole_pieces || id == parts_.unknown_id) return true;
  const auto holds = [&](const auto& ids) { return std::ranges::find(ids, id) != ids.end(); };
  if (parts_.merges->gives(id) || holds(parts_.byte_ids)) return true;
  if (!parts_.characters) return holds(last_byte_ids_);
  const std::string_view token = parts_.vocabulary.bytes(id);
  return character_id(token) == id || (!parts_.suffix.empty() && token.ends_with(parts_.suffix));
}

bool BpeModel::ends_at_cut() const {
  if (!pairs_) return false;
  for (char32_t letter = 'A'; letter <= 'z'; ++letter) {
    if (pairs_->joins(letter, ' ') || pairs_->joins(letter, 0x2581)) return false;
  }
  return cuts_anywhere_ || (character_id(" ") != kNone && character_id("\u2581") != kNone);
}

// The table of tokens is larger than a core's caches, so the line that a piece needs of it is
// fetched while the pieces before are encoded.
void BpeModel::encode_pieces(std::string_view text, std::span<const size_t> ends,
                             std::vector<uint32_t>& ids) const {
  thread_local std::vector<size_t> finer;
  if (pairs_) {
    cut_apart(text, ends, finer);
    ends = finer;
  }
  constexpr size_t kAhead = 8;
  Vocabulary::Key keys[kAhead];
  const auto piece = [&](size_t i) {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return text.substr(begin, ends[i] - begin);
  };
  const auto fetch = [&](size_t i) {
    keys[i % kAhead] = Vocabulary::Key(piece(i));
    parts_.vocabulary.prefetch(keys[i % kAhead]);
  };
  for (size_t i = 0; i < std::min(kAhead, ends.size()); ++i) fetch(i);
  for (size_t i = 0; i < ends.size(); ++i) {
    const Vocabulary::Key key = keys[i % kAhead];
    if (i + kAhead < ends.size()) fetch(i + kAhead);
    encode(piece(i), key, ids);
  }
}

void BpeModel::encode(std::string_view piece, const Vocabulary::Key& key,
                      std::vector<uint32_t>& ids) const {
  if (parts_.suffix.empty() || parts_.whole_pieces) {
    const uint32_t id = parts_.vocabulary.find(piece, key);
    if (id != kNone && (!reachable_ || merges_give(id))) {
      ids.push_back(id);
      return;
    }
  }
  if (piece.size() > RecentPieces::kMaxBytes) return merge(piece, ids);
  RecentPieces::append(number_, piece, key.hash, ids, [&] { merge(piece, ids); });
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
  if (parts_.characters) {
    begin_with_characters(piece, ids);
  } else {
    begin_with_bytes(piece, true, ids);
  }
  if (!parts_.merges) {
    merge_symbols(ByBytes{parts_.vocabulary, piece}, ids, first);
  } else if (!parts_.merges->empty()) {
    merge_symbols(ByPair{*parts_.merges}, ids, first);
  }
}

void BpeModel::begin_with_bytes(std::string_view piece, bool ends,
                                std::vector<uint32_t>& ids) const {
  bool after_unknown = false;
  for (const char& c : piece) {
    const bool last = ends && &c == &piece.back();
    uint32_t id = (last ? last_byte_ids_ : parts_.byte_ids)[static_cast<unsigned char>(c)];
    const bool unknown = id == kNone;
    if (unknown) id = parts_.unknown_id;
    if (id != kNone && !(unknown && after_unknown && parts_.fuse_unknown)) ids.push_back(id);
    after_unknown = unknown;
  }
}

void BpeModel::begin_with_characters(std::string_view piece, std::vector<uint32_t>& ids) const {
  // The token of an unknown character is put out before the next known character, so that the
  // tokens of bytes overtake it, as in Hugging Face's tokenizers.
  bool unknown = false;
  const auto put_unknown = [&] {
    if (unknown) ids.push_back(parts_.unknown_id);
  };
  std::string last;
  for_each_code_point(piece, [&](char32_t, std::string_view character) {
    if (!parts_.suffix.empty() && character.end() == piece.end()) {
      character = last.append(character).append(parts_.suffix);
    }
    const uint32_t id = character_id(character);
    if (id != kNone) {
      put_unknown();
      unknown = false;
      ids.push_back(id);
    } else if (falls_back(character)) {
      for (const char c : character) ids.push_back(parts_.byte_ids[static_cast<unsigned char>(c)]);
    } else if (parts_.unknown_id != kNone) {
      if (!parts_.fuse_unknown) put_unknown();
      unknown = true;
    }
  });
  put_unknown();
}

uint32_t BpeModel::character_id(std::string_view character) const {
  if (character.size() == 1 && static_cast<unsigned char>(character[0]) < 0x80)
    return ascii_ids_[static_cast<unsigned char>(character[0])];
  return parts_.vocabulary.find(character);
}

bool BpeModel::falls_back(std::string_view bytes) const {
  return std::all_of(bytes.begin(), bytes.end(), [&](char c) {
    return parts_.byte_ids[static_cast<unsigned char>(c)] != kNone;
  });
}

// Cuts long pieces where no token reaches across; the parts are short enough to be remembered as
// recent pieces.
void BpeModel::cut_apart(std::string_view text, std::span<const size_t> ends,
                         std::vector<size_t>& finer) const {
  constexpr size_t kLong_bytes = 24;
  finer.clear();
  size_t begin = 0;
  for (const size_t end : ends) {
    const std::string_view piece = text.substr(begin, end - begin);
    if (piece.size() > kLong_bytes) {
      char32_t left = 0;
      for_each_code_point(piece, [&](char32_t right, std::string_view character) {
        const bool first = character.data() == piece.data();
        if (!first && !pairs_->joins(left, right) &&
            (cuts_anywhere_ || character_id(character) != kNone)) {
          finer.push_back(static_cast<size_t>(character.data() - text.data()));
        }
        left = right;
      });
    }
    finer.push_back(end);
    begin = end;
  }
}

}  // namespace mythos
