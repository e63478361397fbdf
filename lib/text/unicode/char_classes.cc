#include "text/unicode/char_classes.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace mythos {
namespace {

constexpr uint8_t Lu = kLetter | kUpper, Ll = kLetter | kLower, Lt = Lu, Lm = Lu | Ll, Lo = Lm,
                  M = kUpper | kLower | kSymbol, N = kNumber, Space = kSpace, Other = kSymbol,
                  Cn = kSymbol | kUnsettled;

struct ClassRun {
  char32_t first;  // the run ends where the next one begins
  uint8_t bits;
};
struct StandIn {
  char32_t first, last, stand_in;
};
#include "text/unicode/unicode_ranges.inc"

// Code points of 2, 3 and 4 bytes that are unassigned, the last two for ever.
constexpr char32_t kUnassigned2 = 0x378, kUnassigned3 = 0xFFFF, kUnassigned4 = 0x10FFFF;

char32_t stand_in_for(char32_t code, int length) {
  const auto* found =
      std::upper_bound(std::begin(kStandIns), std::end(kStandIns), code,
                       [](char32_t value, const StandIn& entry) { return value <= entry.last; });
  if (found != std::end(kStandIns) && code >= found->first) return found->stand_in;
  return length == 2 ? kUnassigned2 : length == 3 ? kUnassigned3 : kUnassigned4;
}

// Writes a code point over a sequence of the same length.
void put_utf8(char* at, char32_t code, int length) {
  for (int i = length - 1; i > 0; --i, code >>= 6) at[i] = static_cast<char>(0x80 | (code & 0x3F));
  at[0] = static_cast<char>((0xF00 >> length & 0xFF) | code);
}

// Calls visit(offset, code point, bytes) for each unsettled character until it returns false.
template <typename Visit>
void visit_unsettled(std::string_view text, const Visit& visit) {
  const CharClasses& classes = CharClasses::get();
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const char32_t code = utf8_code_point(text.substr(i), length);
    if ((classes.of(code) & kUnsettled) && !visit(i, code, length)) return;
    i += length;
  }
}

}  // namespace

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

CharClasses::CharClasses() {
  std::vector<uint8_t> bits(kCodePoints);
  for (const ClassRun* run = std::begin(kClassRuns); run != std::end(kClassRuns); ++run) {
    const char32_t end = run + 1 == std::end(kClassRuns) ? kCodePoints : run[1].first;
    std::fill(bits.begin() + run->first, bits.begin() + end, run->bits);
  }
  for (const StandIn& entry : kStandIns) {
    for (char32_t code = entry.first; code <= entry.last; ++code) bits[code] |= kUnsettled;
  }
  bits['\r'] |= kNewline;
  bits['\n'] |= kNewline;
  std::copy_n(bits.begin(), 0x80, bytes_.begin());

  for (char32_t first = 0; first < kCodePoints; first += 256) {
    Page page;
    std::copy_n(bits.begin() + first, 256, page.begin());
    // Only the previous page is compared: neighbours are often alike, and a full search would cost
    // more than the pages that it saves.
    if (pages_.empty() || pages_.back() != page) pages_.push_back(page);
    index_[first >> 8] = static_cast<uint16_t>(pages_.size() - 1);
  }
}

bool has_unsettled(std::string_view text) {
  bool found = false;
  visit_unsettled(text, [&](size_t, char32_t, int) {
    found = true;
    return false;
  });
  return found;
}

std::string with_stand_ins(std::string_view text) {
  std::string result(text);
  visit_unsettled(text, [&](size_t offset, char32_t code, int length) {
    put_utf8(result.data() + offset, stand_in_for(code, length), length);
    return true;
  });
  return result;
}

}  // namespace mythos
