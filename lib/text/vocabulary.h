#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// Token ids and the bytes that they stand for, found in both directions. Ids may have holes.
class Vocabulary {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  // Ids are below `size`; room for so many bytes of all tokens together.
  Vocabulary(uint32_t size, size_t bytes);

  // Gives an id its bytes. False when it already has some.
  bool set(uint32_t id, std::string_view bytes);
  // Lets find() give this id for its bytes. False when it already gives another.
  bool index(uint32_t id);

  uint32_t size() const { return static_cast<uint32_t>(spans_.size()); }
  std::string_view bytes(uint32_t id) const {
    return {bytes_.data() + spans_[id].begin, spans_[id].size};
  }
  uint32_t find(std::string_view bytes) const;
  size_t longest() const { return longest_; }

 private:
  struct Span {
    uint32_t begin = 0, size = 0;
  };
  // Up to eight bytes are the key itself, so that most look-ups touch one cache line.
  struct Slot {
    uint64_t key;
    uint32_t id, size;
  };
  static constexpr size_t kInline = 8;
  static uint64_t key_of(std::string_view bytes);
  size_t slot_of(uint64_t key, size_t size) const {
    return static_cast<size_t>(((key ^ (size * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u) >>
                               shift_);
  }

  std::string bytes_;
  std::vector<Span> spans_;
  std::vector<Slot> slots_;  // open addressing, a power of two of them, at most half full
  int shift_ = 0;
  size_t longest_ = 0;
};

}  // namespace mythos
