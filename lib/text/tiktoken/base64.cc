#include "text/tiktoken/base64.h"

#include <array>
#include <cstdint>

namespace mythos {
namespace {

// Values of base64's letters (RFC 4648), 64 for all other bytes.
constexpr std::array<uint8_t, 256> kBase64 = [] {
  std::array<uint8_t, 256> values;
  values.fill(64);
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kLetters.size(); ++i) {
    values[static_cast<unsigned char>(kLetters[i])] = static_cast<uint8_t>(i);
  }
  return values;
}();

}  // namespace

bool decode_base64(std::string_view text, std::string& out) {
  if (text.empty() || text.size() % 4 != 0) return false;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t letters = i + 4 < text.size() ? 4 : 4 - padding;
    uint32_t group = 0;
    for (size_t j = 0; j < 4; ++j) {
      const uint32_t value = j < letters ? kBase64[static_cast<unsigned char>(text[i + j])] : 0;
      if (value > 63) return false;
      group = group << 6 | value;
    }
    for (size_t j = 0; j + 1 < letters; ++j) out += static_cast<char>(group >> (16 - 8 * j));
  }
  return true;
}

}  // namespace mythos
