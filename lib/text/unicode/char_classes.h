#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// The classes by which split patterns tell characters apart, as bits. They are those of Unicode
// 16.0, which tiktoken (Rust's regex-syntax 0.8.11) and Hugging Face's tokenizers 0.23 (Oniguruma)
// follow too.
enum CharBits : uint8_t {
  kLetter = 1,       // \p{L}
  kNumber = 2,       // \p{N}
  kSpace = 4,        // \s: White_Space
  kNewline = 8,      // [\r\n]
  kUpper = 16,       // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  kLower = 32,       // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  kSymbol = 64,      // [^\s\p{L}\p{N}]
  kUnsettled = 128,  // unassigned, or in another class in Unicode 14.0
};

// A table of classes in two stages: pages of 256 code points, where equal pages are kept once.
class CharClasses {
 public:
  static const CharClasses& get();

  // The class bits of a code point up to U+10FFFF.
  uint8_t of(char32_t code) const { return pages_[index_[code >> 8]][code & 0xFF]; }
  // The class bits of ASCII characters; 0 for bytes from 0x80 on.
  const std::array<uint8_t, 256>& bytes() const { return bytes_; }

 private:
  CharClasses();
  using Page = std::array<uint8_t, 256>;
  std::array<uint8_t, 256> bytes_{};
  std::array<uint16_t, 0x1100> index_{};
  std::vector<Page> pages_;
};

// Whether well-formed `text` has a character whose class depends on the version of Unicode.
bool has_unsettled(std::string_view text);
// `text` with each unsettled character replaced by one that has the same category and length in
// every version of Unicode since 14.0, so that each of them cuts it in the same places as 16.0
// does.
std::string with_stand_ins(std::string_view text);

}  // namespace mythos
