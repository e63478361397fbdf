#pragma once
#include <bitset>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace mythos {

// Sets of characters as Hugging Face's tokenizers 0.23 knows them, which is by several versions of
// Unicode: library_ranges.py has asked it about every code point.
class CharSet {
 public:
  static const CharSet& marks();        // taken off by StripAccents
  static const CharSet& nonspacing();   // taken off by BertNormalizer, in NFD
  static const CharSet& controls();     // taken off by BertNormalizer's clean_text
  static const CharSet& punctuation();  // ASCII symbols too
  static const CharSet& numbers();
  static const CharSet& words();   // \w of Rust's regular expressions
  static const CharSet& spaces();  // Unicode's White_Space
  // Characters newer than the Unicode 9.0 of its normal forms, which leave them alone.
  static const CharSet& unknown_to_forms();

  // A code point up to U+10FFFF.
  bool has(char32_t code) const { return bits_[code]; }
  // A well-formed character; false for no bytes.
  bool has(std::string_view character) const;

 private:
  template <class Ranges>
  explicit CharSet(const Ranges& ranges);

  std::bitset<kCodePoints> bits_;
};

// Appends the lower case of a character, by itself: the sigma at the end of a word is none.
void append_lower_case(char32_t code, std::string& out);

}  // namespace mythos
