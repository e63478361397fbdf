#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace mythos {

// The trie in the normalisation rules of a SentencePiece model (precompiled_charsmap): a double
// array of Darts-clone, whose values are offsets in the texts that follow it.
class CharsmapTrie {
 public:
  CharsmapTrie() = default;
  // `bytes` are the trie's units of four bytes, little-endian.
  explicit CharsmapTrie(std::string_view bytes) {
    for (size_t at = 0; at + 4 <= bytes.size(); at += 4) units_.push_back(number(bytes.substr(at)));
  }

  bool empty() const { return units_.empty(); }

  // Calls visit(bytes, value) for each key that `text` begins with, the shortest first, until it
  // returns false.
  template <class Visit>
  void for_each_prefix(std::string_view text, const Visit& visit) const {
    if (empty()) return;
    size_t at = offset(units_[0]);
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      at ^= byte;
      if (byte == 0 || at >= units_.size() || label(units_[at]) != byte) return;
      const uint32_t unit = units_[at];
      at ^= offset(unit);
      if (at >= units_.size()) return;
      if (has_value(unit) && !visit(i + 1, value(units_[at]))) return;
    }
  }

  // The little-endian number in the first four bytes.
  static uint32_t number(std::string_view bytes) {
    uint32_t value = 0;
    for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

 private:
  // The parts of a unit: its label, the offset of its children, and whether a key ends here. The
  // value of such a key lies in the child with the label NUL.
  static uint32_t label(uint32_t unit) { return unit & (uint32_t{1} << 31 | 0xFF); }
  static uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & uint32_t{1} << 9) >> 6); }
  static bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
  static uint32_t value(uint32_t unit) { return unit & ((uint32_t{1} << 31) - 1); }

  std::vector<uint32_t> units_;
};

}  // namespace mythos
