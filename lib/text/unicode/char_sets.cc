#include "text/unicode/char_sets.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace mythos {
namespace {

struct CodeRange {
  char32_t first, last;
};
struct LowerRun {
  char32_t first, last, step;
  int32_t distance;
};
#include "text/unicode/library_ranges.inc"

constexpr CodeRange kSpaces[] = {
    {0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

}  // namespace

template <class Ranges>
CharSet::CharSet(const Ranges& ranges) {
  for (const CodeRange& range : ranges) {
    for (char32_t code = range.first; code <= range.last; ++code) bits_.set(code);
  }
}

bool CharSet::has(std::string_view character) const {
  return !character.empty() && has(utf8_code_point(character, static_cast<int>(character.size())));
}

const CharSet& CharSet::marks() {
  static const CharSet set(kMarks);
  return set;
}

const CharSet& CharSet::nonspacing() {
  static const CharSet set(kNonspacing);
  return set;
}

const CharSet& CharSet::controls() {
  static const CharSet set(kControls);
  return set;
}

const CharSet& CharSet::punctuation() {
  static const CharSet set(kPunctuation);
  return set;
}

const CharSet& CharSet::numbers() {
  static const CharSet set(kNumbers);
  return set;
}

const CharSet& CharSet::words() {
  static const CharSet set(kWords);
  return set;
}

const CharSet& CharSet::spaces() {
  static const CharSet set(kSpaces);
  return set;
}

const CharSet& CharSet::unknown_to_forms() {
  static const CharSet set(kUnknownToForms);
  return set;
}

void append_lower_case(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code);
    return;
  }
  if (code == 0x130) {  // the only letter whose lower case is two: I with a dot
    out += "i\u0307";
    return;
  }
  const auto* run =
      std::upper_bound(std::begin(kLowerRuns), std::end(kLowerRuns), code,
                       [](char32_t value, const LowerRun& entry) { return value < entry.first; });
  // Runs of every second letter may overlap, so two of them are looked at.
  for (int i = 0; i < 2 && run != std::begin(kLowerRuns); ++i) {
    --run;
    if (code <= run->last && (code - run->first) % run->step == 0) {
      return append_code_point(static_cast<char32_t>(static_cast<int32_t>(code) + run->distance),
                               out);
    }
  }
  append_code_point(code, out);
}

}  // namespace mythos
