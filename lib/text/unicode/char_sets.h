#pragma once
#include <bitset>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace mythos {

// Sets of characters as Hugging Face's tokenizers 0.23 has them, from several versions of Unicode:
// library_ranges.py asked it about every code point.
class CharSet {
 public:
  static const CharSet& marks();        // taken off by StripAccents
  static const CharSet& nonspacing();   // taken off by BertNormalizer, in NFD
  static const CharSet& controls();     // taken off by BertNormalizer's clean_text
  static const CharSet& punctuation();  // ASCII symbols too
  static const CharSet& numbers();
  static const CharSet& words();   // \w of Rust's regular expressions
  static const CharSet& spaces();  // Unicode's White_Space
  // Characters newer than Unicode 9.0; the library's normal forms, which are of that version, leave
  // them alone.
  static const CharSet& unknown_to_forms();

  // Whether a code point up to U+10FFFF is in the set.
  bool has(char32_t code) const { return bits_[code]; }
  // Whether a well-formed character is in the set; false for no bytes.
  bool has(std::string_view character) const;

 private:
  template <class Ranges>
  explicit CharSet(const Ranges& ranges);

  std::bitset<kCodePoints> bits_;
};

// Appends the lower case of a single character. A sigma becomes σ even at the end of a word.
void append_lower_case(char32_t code, std::string& out);

}  // namespace mythos
