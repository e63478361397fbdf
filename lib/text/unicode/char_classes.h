#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// What split patterns tell characters apart by, as bits. By Unicode 16.0, which tiktoken (Rust's
// regex-syntax 0.8.11) and Hugging Face's tokenizers 0.23 (Oniguruma) go by too.
enum CharBits : uint8_t {
  kLetter = 1,       // \p{L}
  kNumber = 2,       // \p{N}
  kSpace = 4,        // \s: White_Space
  kNewline = 8,      // [\r\n]
  kUpper = 16,       // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  kLower = 32,       // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  kSymbol = 64,      // [^\s\p{L}\p{N}]
  kUnsettled = 128,  // unassigned, or of another class in Unicode 14.0
};

// A two-stage table: pages of 256 code points, equal ones kept once.
class CharClasses {
 public:
  static const CharClasses& get();

  // The bits of a code point up to U+10FFFF.
  uint8_t of(char32_t code) const { return pages_[index_[code >> 8]][code & 0xFF]; }
  // The bits of ASCII characters; 0 from 0x80 on.
  const std::array<uint8_t, 256>& bytes() const { return bytes_; }

 private:
  CharClasses();
  using Page = std::array<uint8_t, 256>;
  std::array<uint8_t, 256> bytes_{};
  std::array<uint16_t, 0x1100> index_{};
  std::vector<Page> pages_;
};

// True when well-formed `text` has a character whose class depends on the version of Unicode.
bool has_unsettled(std::string_view text);
// `text` with each of those characters replaced by one that has the same category and length in
// every version since 14.0, so that any such version cuts it in the same places as 16.0 does.
std::string with_stand_ins(std::string_view text);

}  // namespace mythos
