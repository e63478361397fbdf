#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace mythos {

// The number of code points: U+0000 to U+10FFFF, surrogates among them.
constexpr char32_t kCodePoints = 0x110000;

// The length (1 to 4 bytes) of the well-formed UTF-8 sequence that `text` begins with; 0 if it
// begins with bytes that can never be well-formed; -1 if it is empty or ends inside a sequence that
// more bytes may complete. Well-formed as in Unicode 15, table 3-7: no overlong forms, no
// surrogates, at most U+10FFFF.
int utf8_sequence(std::string_view text);

// The length in bytes of the longest well-formed UTF-8 that `text` begins with.
size_t utf8_prefix(std::string_view text);

// The length in bytes of the well-formed sequence that `text` ends with; 0 if it ends with none.
size_t utf8_last(std::string_view text);

// The code point of a well-formed sequence of `length` bytes.
char32_t utf8_code_point(std::string_view text, int length);

inline bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Appends the UTF-8 sequence of a code point, which must be no surrogate and at most U+10FFFF.
void append_code_point(char32_t code, std::string& out);

// Calls visit(code point, its sequence) for each character of well-formed `text`.
template <class Visit>
void for_each_code_point(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const int length = utf8_sequence(text);
    visit(utf8_code_point(text, length), text.substr(0, static_cast<size_t>(length)));
    text.remove_prefix(static_cast<size_t>(length));
  }
}

}  // namespace mythos
