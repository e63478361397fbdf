#include "text/split/fast_splitter.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "text/unicode/char_classes.h"

namespace mythos {
namespace {

using Byte = unsigned char;

enum class Family { gpt2, cl100k, o200k };

// The differences among the patterns of a family.
struct Rules {
  Family family;
  int max_digits;           // \p{N}{1,max_digits}; 0 is \p{N}+
  bool contractions;        // whether "'s" and the like belong to the word before
  bool joins_tail = false;  // \s++$ before \s*[\r\n]: white space that ends the text is one piece
};

struct Char {
  uint8_t bits = 0, length = 0;  // both 0 at the end of the text
};

// Walks over well-formed UTF-8 by class of character.
class Scanner {
 public:
  explicit Scanner(const Byte* end)
      : end_(end), classes_(CharClasses::get()), bytes_(classes_.bytes().data()) {}

  const Byte* end() const { return end_; }

  Char peek(const Byte* at) const {
    if (at == end_) return {};
    if (*at < 0x80) return {bytes_[*at], 1};
    return wide(at);
  }

  // The end of the run from `at` of characters that have one of `bits`.
  template <uint8_t bits>
  const Byte* run(const Byte* at) const {
    for (;;) {
      while (at != end_ && *at >= 0x80) {
        const Char c = wide(at);
        if (!(c.bits & bits)) return at;
        at += c.length;
      }
      const Byte* ascii = at;
      if constexpr (bits == kLetter || bits == kLower) at = ascii_letters<bits == kLetter>(at);
      while (at != end_ && (bytes_[*at] & bits)) ++at;
      if (at == ascii || at == end_ || *at < 0x80) return at;
    }
  }

  // The length of a match of '(?:[sdmt]|ll|ve|re) at an apostrophe, 0 if there is none. With `fold`
  // the match ignores case as (?i: …) does, for which U+017F, the long s, is an s.
  template <bool fold>
  int contraction(const Byte* at) const {
    const auto letter = [&](int i) -> Byte {
      return end_ - at <= i ? 0 : fold ? at[i] | 0x20 : at[i];
    };
    const Byte a = letter(1);
    if (a == 's' || a == 'd' || a == 'm' || a == 't') return 2;
    if (a == 'l') return letter(2) == 'l' ? 3 : 0;
    if (a == 'v' || a == 'r') return letter(2) == 'e' ? 3 : 0;
    if (fold && end_ - at > 2 && at[1] == 0xC5 && at[2] == 0xBF) return 3;
    return 0;
  }

 private:
  // The end of a run of [a-z] or, with `fold`, [A-Za-z]; it may stop early near the end of the
  // text. Goes by eight bytes at a time, because a branch predictor guesses the length of a word
  // badly.
  template <bool fold>
  const Byte* ascii_letters(const Byte* at) const {
    if constexpr (std::endian::native != std::endian::little) return at;
    constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x80 * kOnes;
    while (end_ - at >= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      const uint64_t low = (fold ? word | 0x20 * kOnes : word) & ~kHigh;
      const uint64_t from_a = low + (0x80 - 'a') * kOnes, above_z = low + (0x7F - 'z') * kOnes;
      const uint64_t others = (~from_a | above_z | word) & kHigh;
      if (others) return at + std::countr_zero(others) / 8;
      at += 8;
    }
    return at;
  }

  Char wide(const Byte* at) const {
    const auto rest = [&](int i) { return static_cast<char32_t>(at[i] & 0x3F); };
    if (*at < 0xE0) return {classes_.of((*at & 0x1Fu) << 6 | rest(1)), 2};
    if (*at < 0xF0) return {classes_.of((*at & 0xFu) << 12 | rest(1) << 6 | rest(2)), 3};
    return {classes_.of((*at & 0x7u) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3)), 4};
  }

  const Byte* end_;
  const CharClasses& classes_;
  const uint8_t* bytes_;
};

// Finds the end of the piece that begins at `at`, which lies before the end of the text. Each
// family's function tries the alternatives of its pattern, which its comment quotes, in their
// order.
template <Rules rules>
class Cutter {
 public:
  explicit Cutter(const Byte* end) : scan_(end) {}

  const Byte* piece(const Byte* at) const {
    if constexpr (rules.family == Family::gpt2) return gpt2(at);
    if constexpr (rules.family == Family::cl100k) return cl100k(at);
    return o200k(at);
  }

 private:
  // '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  const Byte* gpt2(const Byte* at) const {
    const Byte* from = at + (*at == ' ');
    const Char c = scan_.peek(from);
    if (c.bits & kLetter) return scan_.template run<kLetter>(from + c.length);
    if (c.bits & kSymbol) {
      if (*at == '\'') {
        if (const int length = scan_.template contraction<false>(at)) return at + length;
      }
      return scan_.template run<kSymbol>(from + c.length);
    }
    if (c.bits & kNumber) return scan_.template run<kNumber>(from + c.length);
    return spaces(at);
  }

  // '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
  // |\s*[\r\n]+|\s+(?!\S)|\s+
  const Byte* cl100k(const Byte* at) const {
    const Char c = scan_.peek(at);
    const Byte* next = at + c.length;
    if (c.bits & kLetter) return scan_.template run<kLetter>(next);
    if (c.bits & kNumber) return numbers(next);
    if (c.bits & kNewline) return spaces(at);
    if (*at == '\'') {
      if (const int length = scan_.template contraction<true>(at)) return at + length;
    }
    const Char second = scan_.peek(next);
    if (second.bits & kLetter) return scan_.template run<kLetter>(next + second.length);
    if ((c.bits & kSymbol) || (*at == ' ' && (second.bits & kSymbol))) {
      return scan_.template run<kNewline>(scan_.template run<kSymbol>(next));
    }
    return spaces(at);
  }

  // With U for [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L for [\p{Ll}\p{Lm}\p{Lo}\p{M}] and C for
  // (?i:'s|'t|'re|'ve|'m|'ll|'d):
  // [^\r\n\p{L}\p{N}]?U*L+C?|[^\r\n\p{L}\p{N}]?U+L*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*
  // |\s*[\r\n]+|\s+(?!\S)|\s+
  const Byte* o200k(const Byte* at) const {
    const Char c = scan_.peek(at);
    if (c.bits & kLetter) return with_contraction(word(at).either());
    const Byte* next = at + c.length;
    if (c.bits & kNumber) return numbers(next);
    if (c.bits & kNewline) return spaces(at);
    const Word behind = word(next);
    if (c.bits & kUpper) {
      // A mark may be the optional character before the word or the word's first character. The
      // first alternative always matches: with the mark before a U*L+ that follows, else with the
      // mark alone, which is a U and an L.
      return with_contraction(behind.lower_end ? behind.lower_end : next);
    }
    if (const Byte* end = behind.either()) return with_contraction(end);
    if ((c.bits & kSymbol) || (*at == ' ' && (scan_.peek(next).bits & kSymbol))) {
      return newlines_and_slashes(scan_.template run<kSymbol>(next));
    }
    return spaces(at);
  }

  // The end of a match of U*L+ and, if there is none, of U+L*; null for no match.
  struct Word {
    const Byte* lower_end;
    const Byte* upper_end;
    const Byte* either() const { return lower_end ? lower_end : upper_end; }
  };
  Word word(const Byte* start) const {
    const Byte *at = start, *both_end = nullptr;
    for (;;) {
      const Char c = scan_.peek(at);
      if (!(c.bits & kUpper)) {
        if (c.bits & kLower) return {scan_.template run<kLower>(at + c.length), nullptr};
        // L+ must match: U* gives back characters until the last that is an L as well.
        return {both_end, at == start ? nullptr : at};
      }
      at += c.length;
      if (c.bits & kLower) both_end = at;
    }
  }

  const Byte* with_contraction(const Byte* at) const {
    if (!rules.contractions || at == scan_.end() || *at != '\'') return at;
    return at + scan_.template contraction<true>(at);
  }

  const Byte* newlines_and_slashes(const Byte* at) const {
    while (at != scan_.end() && (*at == '\r' || *at == '\n' || *at == '/')) ++at;
    return at;
  }

  // The end of \p{N}{1,max_digits} whose first number ends at `at`.
  const Byte* numbers(const Byte* at) const {
    for (int i = 1; i < rules.max_digits; ++i) {
      const Char c = scan_.peek(at);
      if (!(c.bits & kNumber)) break;
      at += c.length;
    }
    return at;
  }

  // The end of \s*[\r\n]+|\s+(?!\S)|\s+ where white space begins; the pattern of gpt2 lacks the
  // first of them.
  const Byte* spaces(const Byte* start) const {
    const Byte *at = start, *last = start, *newline_end = nullptr;
    for (;;) {
      const Char c = scan_.peek(at);
      if (!(c.bits & kSpace)) break;
      last = at;
      at += c.length;
      if (c.bits & kNewline) newline_end = at;
    }
    const bool tail = at == scan_.end();
    if (rules.family != Family::gpt2 && newline_end && !(rules.joins_tail && tail)) {
      return newline_end;
    }
    return tail || last == start ? at : last;
  }

  Scanner scan_;
};

template <Rules rules>
class FastSplitter : public Splitter {
 public:
  void split(std::string_view text, std::vector<size_t>& ends) const override {
    const auto* begin = reinterpret_cast<const Byte*>(text.data());
    const Byte* end = begin + text.size();
    const Cutter<rules> cutter(end);
    for (const Byte* at = begin; at != end;) {
      at = cutter.piece(at);
      ends.push_back(at - begin);
    }
  }
};

template <Rules rules>
std::unique_ptr<Splitter> make() {
  return std::make_unique<FastSplitter<rules>>();
}

constexpr Rules kGpt2{Family::gpt2, 0, true};
constexpr Rules kCl100k{Family::cl100k, 3, true, true};
constexpr Rules kLlama3{Family::cl100k, 3, true};
constexpr Rules kQwen2{Family::cl100k, 1, true};
constexpr Rules kO200k{Family::o200k, 3, true};
constexpr Rules kTekken{Family::o200k, 1, false};

// The published spellings of patterns. All spellings of one maker cut every text alike.
struct Spelling {
  std::string_view pattern;
  std::unique_ptr<Splitter> (*make)();
};
const Spelling kSpellings[] = {
    {kGpt2Pattern, make<kGpt2>},
    // GPT-2's pattern, which Hugging Face's ByteLevel has built in.
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", make<kGpt2>},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", make<kGpt2>},
    {kCl100kPattern, make<kCl100k>},
    // The pattern of cl100k_base before tiktoken 0.9, which Llama 3 has in two spellings.
    {kLlama3Pattern, make<kLlama3>},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     make<kLlama3>},
    {kQwenPattern, make<kQwen2>},
    {kO200kPattern, make<kO200k>},
    // The pattern of Mistral's tekken.
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     make<kTekken>},
};

}  // namespace

std::unique_ptr<Splitter> make_fast_splitter(std::string_view pattern) {
  for (const Spelling& spelling : kSpellings) {
    if (spelling.pattern == pattern) return spelling.make();
  }
  return nullptr;
}

}  // namespace mythos
