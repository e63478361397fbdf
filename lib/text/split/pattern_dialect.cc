#include "text/split/pattern_dialect.h"

#include <utility>

#include "base/error.h"

namespace mythos {
namespace {

// Escapes that mean different things in different engines: \w lacks marks in PCRE2, \h is a digit
// in Oniguruma, \v is one character in Rust.
constexpr std::string_view kOtherEscapes = "wWbBhHvVRXZGNQE";

// Oniguruma's \w in a set: letters, other characters with the property Alphabetic (among them the
// circled and squared letters, which are symbols by category), marks, decimal digits and connecting
// punctuation. Alone and in \b it has Latin-1's raised digits and fractions too.
constexpr std::string_view kWordInSet =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}"
    "\\x{1F170}-\\x{1F189}";
constexpr std::string_view kWordAlone = "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";

class Speller {
 public:
  Speller(std::string_view pattern, Dialect dialect) : pattern_(pattern), dialect_(dialect) {}

  std::string spell() {
    while (at_ < pattern_.size()) step();
    return std::move(result_);
  }

 private:
  void step() {
    const bool in_set = depth_ > 0;
    if (starts("\\")) return escape();
    if (starts("[")) return open_set();
    if (in_set) {
      if (starts("]")) return close_set();
      if (starts("&&") || (dialect_ == Dialect::rust && (starts("--") || starts("~~")))) refuse(2);
    } else if (dialect_ == Dialect::oniguruma && (starts("}+") || starts("(?m"))) {
      // In Oniguruma "}+" repeats the group, and (?m) lets a dot match newlines.
      refuse(starts("}+") ? 2 : 3);
    }
    take(1);
  }

  void escape() {
    const char letter = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\\';
    if (dialect_ == Dialect::oniguruma && take_word(letter)) return;
    if (kOtherEscapes.find(letter) != kOtherEscapes.npos) refuse(2);
    take(2);
    // The braces of \p{L} and \x{A0} are not those of a quantifier.
    if ((letter == 'p' || letter == 'P' || letter == 'x') && starts("{")) {
      const size_t end = pattern_.find('}', at_);
      take(end == pattern_.npos ? 1 : end + 1 - at_);
    }
  }

  // Writes out what stands for words and their borders.
  bool take_word(char letter) {
    const bool in_set = depth_ > 0;
    const std::string words = std::string(kWordInSet) + std::string(in_set ? "" : kWordAlone);
    const std::string is = "[" + words + "]", begins = "(?<!" + is + ")(?=" + is + ")",
                      ends = "(?<=" + is + ")(?!" + is + ")";
    if (letter == 'w') {
      result_ += in_set ? words : is;
    } else if (letter == 'W' && !in_set) {
      result_ += "[^" + words + "]";
    } else if (letter == 'b' && !in_set) {
      result_ += "(?:" + begins + "|" + ends + ")";
    } else if (letter == 'B' && !in_set) {
      result_ += "(?!" + begins + "|" + ends + ")";
    } else {
      return false;
    }
    at_ += 2;
    return true;
  }

  void open_set() {
    if (depth_ > 0 && starts("[:")) {  // [:alpha:]
      const size_t end = pattern_.find(":]", at_);
      if (end == pattern_.npos) refuse(2);
      return take(end + 2 - at_);
    }
    if (depth_++ > 0) {
      if (starts("[^") || starts("[]") || beside_hyphen()) refuse(2);
      ++at_;
      return;
    }
    take(1);
    if (starts("^")) take(1);
    if (starts("]")) take(1);  // as the first character of a set it is a literal
  }

  void close_set() {
    if (--depth_ == 0) return take(1);
    if (beside_hyphen()) refuse(1);
    ++at_;
  }

  // Whether a '-' stands beside a set inside a set: written out, the two would make a range.
  bool beside_hyphen() const {
    return (at_ > 0 && pattern_[at_ - 1] == '-') ||
           (at_ + 1 < pattern_.size() && pattern_[at_ + 1] == '-');
  }

  bool starts(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void take(size_t bytes) {
    result_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }
  [[noreturn]] void refuse(size_t bytes) const {
    fail(ErrorKind::data, "cannot use the split pattern \"" + std::string(pattern_) + "\"",
         "byte " + std::to_string(at_) + ": \"" + std::string(pattern_.substr(at_, bytes)) +
             "\" does not mean the same to every engine and is not supported here");
  }

  std::string_view pattern_;
  Dialect dialect_;
  size_t at_ = 0;
  int depth_ = 0;  // of sets
  std::string result_;
};

}  // namespace

std::string pcre2_spelling(std::string_view pattern, Dialect dialect) {
  return Speller(pattern, dialect).spell();
}

}  // namespace mythos
