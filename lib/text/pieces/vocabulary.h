#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mythos {

// Finds the bytes of token ids and the ids of bytes. Ids may have holes.
class Vocabulary {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  // Makes room for ids below `size` and for tokens of `bytes` bytes in all.
  Vocabulary(uint32_t size, size_t bytes);

  // Gives an id its bytes; returns false if it has some already.
  bool set(uint32_t id, std::string_view bytes);
  // Lets find() give this id for its bytes; returns false if find() gives another id for them
  // already.
  bool index(uint32_t id);

  uint32_t size() const { return static_cast<uint32_t>(spans_.size()); }
  std::string_view bytes(uint32_t id) const {
    return {bytes_.data() + spans_[id].begin, spans_[id].size};
  }

  // The key by which a string is looked up.
  struct Key {
    Key() = default;
    explicit Key(std::string_view bytes);
    uint64_t word = 0, hash = 0;
  };
  void prefetch(const Key& key) const { __builtin_prefetch(&slots_[key.hash >> shift_]); }
  uint32_t find(std::string_view bytes, const Key& key) const;
  uint32_t find(std::string_view bytes) const { return find(bytes, Key(bytes)); }
  // The tokens that find() gives, except the empty one, and their ids, in the order of their bytes.
  std::vector<std::pair<std::string_view, uint32_t>> indexed() const;
  // As find(), but quicker if there is mostly no such token.
  uint32_t find_rare(std::string_view bytes, const Key& key) const;
  // As find(), for two bytes.
  uint32_t find_pair(unsigned char first, unsigned char second) const {
    return pairs_[static_cast<size_t>(first) << 8 | second];
  }

 private:
  struct Span {
    uint32_t begin = 0, size = 0;
  };
  // A string of up to eight bytes is its own key, so that most look-ups touch one cache line.
  struct Slot {
    uint64_t word;
    uint32_t id, size;
  };
  static constexpr size_t kInline = 8;
  std::string bytes_;
  std::vector<Span> spans_;
  std::vector<Slot> slots_;  // open addressing, a power of two of them, at most half full
  int shift_ = 0;
  // A filter in front of the table: a token sets the bit of its hash. Most strings that are no
  // token meet a bit that is not set, and the filter fits into the cache of a core.
  std::vector<uint64_t> filter_;
  std::vector<uint32_t> pairs_;  // tokens of two bytes
  size_t longest_ = 0;
};

}  // namespace mythos
