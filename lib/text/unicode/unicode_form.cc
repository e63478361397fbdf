#include "text/unicode/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <bitset>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "text/unicode/char_sets.h"

namespace mythos {
namespace {

constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;

utf8proc_option_t decompose_option(UnicodeForm::Kind kind) {
  const bool compatible = kind == UnicodeForm::nfkc || kind == UnicodeForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

bool composes(UnicodeForm::Kind kind) {
  return kind == UnicodeForm::nfc || kind == UnicodeForm::nfkc;
}

int combining_class(int32_t code) {
  return utf8proc_get_property(code)->combining_class;
}

// Appends the full decomposition of one character.
void decompose(char32_t code, utf8proc_option_t option, std::vector<int32_t>& out) {
  constexpr size_t kLongest = 18;  // the most code points of any character, by Unicode's promise
  const size_t size = out.size();
  out.resize(size + kLongest);
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<int32_t>(code), out.data() + size,
                              static_cast<utf8proc_ssize_t>(kLongest), option, &boundary);
  if (count < 0) fail(ErrorKind::internal, utf8proc_errmsg(count));
  out.resize(size + static_cast<size_t>(count));
}

// Orders each run of marks by their combining classes.
void order_marks(std::vector<int32_t>& codes) {
  const auto is_mark = [](int32_t code) { return combining_class(code) != 0; };
  for (auto at = codes.begin(); at != codes.end();) {
    const auto begin = std::find_if(at, codes.end(), is_mark);
    at = std::find_if_not(begin, codes.end(), is_mark);
    std::stable_sort(begin, at,
                     [](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
  }
}

// Composes neighbours; the marks are in order already.
void compose(std::vector<int32_t>& codes) {
  const auto count =
      utf8proc_normalize_utf32(codes.data(), std::ssize(codes),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (count < 0) fail(ErrorKind::internal, utf8proc_errmsg(count));
  codes.resize(static_cast<size_t>(count));
}

}  // namespace

// The inert characters, which stay as they are whatever stands before them: the text before an
// inert character and the text from it on can be normalised apart.
struct UnicodeForm::Table {
  explicit Table(Kind kind);
  std::bitset<kCodePoints> inert;
};

UnicodeForm::Table::Table(Kind kind) {
  inert.set();
  const utf8proc_option_t option = decompose_option(kind);
  std::vector<int32_t> parts;
  const CharSet& unknown = CharSet::unknown_to_forms();
  // The planes from 3 to 13 hold no character that has a form or is a mark.
  for (char32_t code = 0x80; code < 0x30000; ++code) {
    if ((code >= 0xD800 && code < 0xE000) || unknown.has(code)) continue;
    if (code >= kHangulFirst && code <= kHangulLast) {
      if (!composes(kind)) inert.reset(code);
      continue;
    }
    parts.clear();
    decompose(code, option, parts);
    if (composes(kind)) {
      std::vector<int32_t> canonical;
      decompose(code, decompose_option(nfc), canonical);
      // The last part of a decomposition may compose with what stands before it.
      if (canonical.size() > 1) inert.reset(static_cast<size_t>(canonical.back()));
      order_marks(parts);
      compose(parts);
    }
    const bool changes = parts.size() != 1 || parts[0] != static_cast<int32_t>(code);
    if (changes || combining_class(static_cast<int32_t>(code)) != 0) inert.reset(code);
  }
  if (composes(kind)) {  // vowels and final consonants of Hangul
    for (char32_t code = 0x1161; code <= 0x1175; ++code) inert.reset(code);
    for (char32_t code = 0x11A8; code <= 0x11C2; ++code) inert.reset(code);
  }
}

const UnicodeForm::Table& UnicodeForm::table(Kind kind) {
  const auto made = []<Kind k>() -> const Table& {
    static const Table table(k);
    return table;
  };
  switch (kind) {
    case nfc:
      return made.operator()<nfc>();
    case nfd:
      return made.operator()<nfd>();
    case nfkc:
      return made.operator()<nfkc>();
    case nfkd:
      return made.operator()<nfkd>();
  }
  fail(ErrorKind::internal, "no such normal form");
}

UnicodeForm::UnicodeForm(Kind kind) : kind_(kind), table_(table(kind)) {}

void UnicodeForm::apply(std::string_view text, std::string& out) const {
  thread_local std::vector<int32_t> codes;
  const utf8proc_option_t option = decompose_option(kind_);
  size_t done = 0, before = 0;  // before: offset of the character in front of `at`
  for (size_t at = 0; at < text.size();) {
    const bool ascii = static_cast<unsigned char>(text[at]) < 0x80;
    const int length = ascii ? 1 : utf8_sequence(text.substr(at));
    const char32_t code = utf8_code_point(text.substr(at), length);
    if (table_.inert[code]) {
      before = at;
      at += static_cast<size_t>(length);
      continue;
    }
    // What follows may compose with the character in front.
    size_t begin = at;
    if (at > done && !CharSet::unknown_to_forms().has(
                         utf8_code_point(text.substr(before), static_cast<int>(at - before)))) {
      begin = before;
    }
    const size_t end = at + inert_from(text.substr(at));
    out += text.substr(done, begin - done);
    codes.clear();
    for_each_code_point(text.substr(begin, end - begin),
                        [&](char32_t part, std::string_view) { decompose(part, option, codes); });
    put_together(codes, out);
    done = at = end;
  }
  out += text.substr(done);
}

size_t UnicodeForm::inert_from(std::string_view text) const {
  size_t at = 0;
  while (at < text.size()) {
    const int length = utf8_sequence(text.substr(at));
    if (table_.inert[utf8_code_point(text.substr(at), length)]) break;
    at += static_cast<size_t>(length);
  }
  return at;
}

void UnicodeForm::put_together(std::vector<int32_t>& codes, std::string& out) const {
  order_marks(codes);
  if (composes(kind_)) compose(codes);
  for (const int32_t code : codes) append_code_point(static_cast<char32_t>(code), out);
}

}  // namespace mythos
