#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace mythos {

// Classes of characters by script, for statistics. mythos-vocab(1) lists their code points.
enum class Script : uint8_t {
  latin,
  greek,
  cyrillic,
  hebrew,
  arabic,
  devanagari,
  indic,  // Bengali to Sinhala
  thai,
  han,
  kana,
  hangul,
  digits,
  punctuation,
  emoji,
  whitespace,
  other,
  invalid,  // bytes that are not UTF-8
};
inline constexpr size_t kScripts = 17;

// "Latin", "Hiragana and Katakana", …
std::string_view script_name(Script script);

// The script of a code point: digits, punctuation and white space by class, letters by block.
Script script_of(char32_t code_point);

}  // namespace mythos
