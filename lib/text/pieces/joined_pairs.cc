#include "text/pieces/joined_pairs.h"

#include <algorithm>
#include <bit>

#include "base/utf8.h"

namespace mythos {

JoinedPairs::JoinedPairs(const std::vector<std::string_view>& tokens) {
  std::vector<uint64_t> far;
  for (std::string_view token : tokens) {
    char32_t left = 0;
    for (bool first = true; !token.empty(); first = false) {
      const int length = std::max(utf8_sequence(token), 1);
      const char32_t right = utf8_code_point(token, length);
      if (!first) {
        const uint32_t near_left = near(left), near_right = near(right);
        if (near_left < kNear && near_right < kNear) {
          near_pairs_.set(near_left * kNear + near_right);
        } else {
          far.push_back(uint64_t{left} << 32 | right);
        }
      }
      left = right;
      token.remove_prefix(static_cast<size_t>(length));
    }
  }
  std::sort(far.begin(), far.end());
  far.erase(std::unique(far.begin(), far.end()), far.end());
  const int bits = std::bit_width(uint64_t{2} * far.size() + 1);
  shift_ = 64 - bits;
  slots_.assign(size_t{1} << bits, 0);
  for (const uint64_t pair : far) add(pair);
}

void JoinedPairs::add(uint64_t pair) {
  size_t at = static_cast<size_t>(pair * 0x9E3779B97F4A7C15u >> shift_);
  while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = pair;
}

bool JoinedPairs::find(uint64_t pair) const {
  size_t at = static_cast<size_t>(pair * 0x9E3779B97F4A7C15u >> shift_);
  while (slots_[at] != 0 && slots_[at] != pair) at = (at + 1) & (slots_.size() - 1);
  return slots_[at] == pair;
}

}  // namespace mythos
