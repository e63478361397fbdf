#pragma once
#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mythos {

// The pairs of neighbouring characters inside tokens. No token reaches across any other pair, so
// text that is cut between two such characters gives the same tokens.
class JoinedPairs {
 public:
  // A byte of a token that is no UTF-8 counts as the character with its number.
  explicit JoinedPairs(const std::vector<std::string_view>& tokens);

  bool joins(char32_t left, char32_t right) const {
    const uint32_t near_left = near(left), near_right = near(right);
    if (near_left < kNear && near_right < kNear) return near_pairs_[near_left * kNear + near_right];
    return find(uint64_t{left} << 32 | right);
  }

 private:
  // The characters with a small table of their own: ASCII and SentencePiece's space, U+2581.
  static constexpr uint32_t kNear = 129;
  static uint32_t near(char32_t code) {
    return code < 0x80 ? code : code == 0x2581 ? kNear - 1 : kNear;
  }
  bool find(uint64_t pair) const;
  void add(uint64_t pair);

  std::bitset<kNear * kNear> near_pairs_;
  // Open addressing; none, or a power of two of them, at most half full.
  std::vector<uint64_t> slots_;
  int shift_ = 0;
};

}  // namespace mythos
