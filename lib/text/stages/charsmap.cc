#include "text/stages/charsmap.h"

#include <utf8proc.h>

#include "base/error.h"
#include "base/utf8.h"

namespace mythos {
namespace {

// Marks that short graphemes may have and that Debian 12's utf8proc (Unicode 15.0) does not know.
constexpr char32_t kMark = 0x300;  // a mark that it knows
bool is_newer_mark(char32_t code) {
  return code == 0x897 || (code >= 0x1ACF && code <= 0x1AEB);
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes) {
  const uint32_t size = bytes.size() < 4 ? 0 : CharsmapTrie::number(bytes);
  if (size == 0 || size % 4 != 0 || size > bytes.size() - 4) {
    fail(ErrorKind::data, "the size of its trie does not fit");
  }
  bytes.remove_prefix(4);
  trie_ = CharsmapTrie(bytes.substr(0, size));
  texts_ = bytes.substr(size);
  texts_ += '\0';
  for (size_t i = 0; i < ascii_.size(); ++i) {
    const char c = static_cast<char>(i);
    ascii_[i] = find({&c, 1});
  }
}

// The offset of the text for the shortest beginning of `chunk` that has a rule.
uint32_t Charsmap::find(std::string_view chunk) const {
  uint32_t found = kNone;
  trie_.for_each_prefix(chunk, [&](size_t, uint32_t place) {
    if (place < texts_.size()) found = place;
    return false;
  });
  return found;
}

// Appends the text that the rules have for the chunk; returns false if they have none.
bool Charsmap::put(std::string_view chunk, std::string& out) const {
  const uint32_t place = chunk.size() == 1 && static_cast<unsigned char>(chunk[0]) < 0x80
                             ? ascii_[static_cast<unsigned char>(chunk[0])]
                             : find(chunk);
  if (place != kNone) out += texts_.c_str() + place;
  return place != kNone;
}

void Charsmap::put_grapheme(std::string_view grapheme, std::string& out) const {
  constexpr size_t kShort_bytes = 6;
  if (grapheme.size() < kShort_bytes && put(grapheme, out)) return;
  for_each_code_point(grapheme, [&](char32_t, std::string_view character) {
    if (!put(character, out)) out += character;
  });
}

void Charsmap::apply(std::string_view text, std::string& out) const {
  size_t begin = 0;
  utf8proc_int32_t state = 0;
  char32_t before = 0;
  for_each_code_point(text, [&](char32_t code, std::string_view character) {
    if (is_newer_mark(code)) code = kMark;
    const auto at = static_cast<size_t>(character.data() - text.data());
    // A grapheme ends between two ASCII characters, except CR and LF, and does not affect what
    // follows.
    const bool ascii = before < 0x80 && code < 0x80 && code != '\n';
    if (ascii) state = 0;
    if (at > 0 && (ascii || utf8proc_grapheme_break_stateful(static_cast<int32_t>(before),
                                                             static_cast<int32_t>(code), &state))) {
      put_grapheme(text.substr(begin, at - begin), out);
      begin = at;
    }
    before = code;
  });
  if (begin < text.size()) put_grapheme(text.substr(begin), out);
}

}  // namespace mythos
