#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/pieces/vocabulary.h"

namespace mythos {

// Remembers the ids of short pieces that were encoded recently, in one table for each thread and
// all models. An entry fills a line of the cache; a new piece replaces the entry in its slot.
class RecentPieces {
 public:
  static constexpr size_t kMaxBytes = 28, kMaxIds = 7;

  // A new number, by which a model differs from all others.
  static uint32_t next_model_number() {
    static std::atomic<uint32_t> last = 0;
    return ++last;
  }

  // Appends the ids of a piece of at most kMaxBytes: the remembered ids, or else those that
  // `encode` appends.
  template <class Encode>
  static void append(uint32_t model, std::string_view piece, uint64_t hash,
                     std::vector<uint32_t>& ids, const Encode& encode) {
    Entry& recent = entry(hash);
    if (recent.holds(model, piece)) {
      ids.insert(ids.end(), recent.ids, recent.ids + recent.count);
      return;
    }
    const size_t first = ids.size();
    encode();
    const auto found = std::span(ids).subspan(first);
    if (found.size() <= kMaxIds) recent.set(model, piece, found);
  }

  // Appends the ids of each piece of `text` that is not empty, as PieceModel::encode_pieces does.
  // encode(piece) appends the ids of a piece that is not remembered.
  template <class Encode>
  static void append_each(uint32_t model, std::string_view text, std::span<const size_t> ends,
                          std::vector<uint32_t>& ids, const Encode& encode) {
    size_t begin = 0;
    for (const size_t end : ends) {
      const std::string_view piece = text.substr(begin, end - begin);
      begin = end;
      if (piece.empty()) continue;
      if (piece.size() > kMaxBytes) {
        encode(piece);
        continue;
      }
      append(model, piece, Vocabulary::Key(piece).hash, ids, [&] { encode(piece); });
    }
  }

 private:
  static constexpr int kBits = 13;

  struct Entry {
    uint32_t model = 0;  // 0 in an empty entry
    uint8_t size = 0, count = 0;
    char piece[kMaxBytes] = {};
    uint32_t ids[kMaxIds] = {};

    bool holds(uint32_t number, std::string_view text) const {
      return model == number && size == text.size() &&
             std::memcmp(piece, text.data(), text.size()) == 0;
    }
    void set(uint32_t number, std::string_view text, std::span<const uint32_t> found) {
      model = number;
      size = static_cast<uint8_t>(text.size());
      count = static_cast<uint8_t>(found.size());
      std::memcpy(piece, text.data(), text.size());
      std::copy(found.begin(), found.end(), ids);
    }
  };

  static Entry& entry(uint64_t hash) {
    thread_local std::vector<Entry> entries(size_t{1} << kBits);
    return entries[hash >> (64 - kBits)];
  }
};

}  // namespace mythos
