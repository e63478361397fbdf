#include <algorithm>

#include "base/utf8.h"
#include "text/pieces/byte_alphabet.h"
#include "text/split/fast_splitter.h"
#include "text/split/regex.h"
#include "text/stages/pre_tokenizer.h"
#include "text/unicode/char_sets.h"

namespace mythos {
namespace {

// Calls visit(piece, its offset) for each piece, and then replaces the old ends by those that
// `visit` has written.
template <class Visit>
void rewrite_ends(Pieces& pieces, const Visit& visit) {
  thread_local std::vector<size_t> before;
  before.swap(pieces.ends);
  pieces.ends.clear();
  size_t begin = 0;
  for (const size_t end : before) {
    visit(pieces.text.substr(begin, end - begin), begin);
    begin = end;
  }
}

// Makes every match, and every text between matches, a piece.
class IsolatedStep : public PreTokenizerStep {
 public:
  IsolatedStep(std::unique_ptr<Splitter> splitter, AtCut at_cut)
      : splitter_(std::move(splitter)), at_cut_(at_cut) {}

  void apply(Pieces& pieces, Before) const override {
    if (pieces.ends.size() == 1) {
      pieces.ends.clear();
      return splitter_->split(pieces.text, pieces.ends);
    }
    rewrite_ends(pieces, [&](std::string_view piece, size_t begin) {
      const size_t mark = pieces.ends.size();
      splitter_->split(piece, pieces.ends);
      for (size_t i = mark; i < pieces.ends.size(); ++i) pieces.ends[i] += begin;
    });
  }
  AtCut at_cut() const override { return at_cut_; }

 private:
  std::unique_ptr<Splitter> splitter_;
  AtCut at_cut_;
};

// Whether a piece ends between two neighbouring stretches of text, each a match or no match.
bool ends_piece(Behavior behavior, bool left_matches, bool right_matches) {
  switch (behavior) {
    case Behavior::contiguous:
      return left_matches != right_matches;
    case Behavior::merged_with_previous:
      return left_matches || !right_matches;
    case Behavior::merged_with_next:
      return !left_matches || right_matches;
    case Behavior::isolated:
    case Behavior::removed:
      break;
  }
  return true;
}

// Does what the behavior says with the matches of a Finder, whose for_each_match(text, visit(Span))
// finds them.
template <class Finder>
class MatchStep : public PreTokenizerStep {
 public:
  MatchStep(Finder finder, Behavior behavior, bool invert, AtCut at_cut)
      : finder_(std::move(finder)), behavior_(behavior), invert_(invert), at_cut_(at_cut) {}

  void apply(Pieces& pieces, Before) const override {
    std::string kept;
    if (behavior_ == Behavior::removed) kept.reserve(pieces.text.size());
    rewrite_ends(pieces, [&](std::string_view piece, size_t begin) {
      cut(piece, begin, pieces.ends, kept);
    });
    if (behavior_ == Behavior::removed) pieces.set_text(std::move(kept));
  }
  AtCut at_cut() const override { return at_cut_; }

 private:
  void cut(std::string_view piece, size_t begin, std::vector<size_t>& ends,
           std::string& kept) const {
    size_t done = 0;
    bool previous = false;
    const auto put = [&](size_t end, bool found) {
      if (end == done) return;
      const bool matches = found != invert_;
      if (behavior_ == Behavior::removed) {
        if (!matches) {
          kept += piece.substr(done, end - done);
          ends.push_back(kept.size());
        }
      } else {
        if (done > 0 && !ends_piece(behavior_, previous, matches)) ends.pop_back();
        ends.push_back(begin + end);
      }
      previous = matches;
      done = end;
    };
    finder_.for_each_match(piece, [&](Span match) {
      put(match.begin, false);
      put(match.end, true);
    });
    put(piece.size(), false);
  }

  Finder finder_;
  Behavior behavior_;
  bool invert_;
  AtCut at_cut_;
};

template <class Finder>
std::unique_ptr<PreTokenizerStep> make_match_step(Finder finder, Behavior behavior, bool invert,
                                                  AtCut at_cut) {
  return std::make_unique<MatchStep<Finder>>(std::move(finder), behavior, invert, at_cut);
}

struct RegexFinder {
  std::unique_ptr<Regex> regex;
  template <class Visit>
  void for_each_match(std::string_view text, const Visit& visit) const {
    regex->for_each_match(text, visit);
  }
};

struct LiteralFinder {
  std::string pattern;
  template <class Visit>
  void for_each_match(std::string_view text, const Visit& visit) const {
    for (size_t at = text.find(pattern); at != text.npos;
         at = text.find(pattern, at + pattern.size())) {
      visit(Span{at, at + pattern.size()});
    }
  }
};

// A Finder that finds each character of a set.
struct CharFinder {
  const CharSet& set;
  template <class Visit>
  void for_each_match(std::string_view text, const Visit& visit) const {
    for_each_code_point(text, [&](char32_t code, std::string_view bytes) {
      if (!set.has(code)) return;
      const auto at = static_cast<size_t>(bytes.data() - text.data());
      visit(Span{at, at + bytes.size()});
    });
  }
};

// A Finder for \w+|[^\w\s]+.
struct WordFinder {
  const CharSet& words = CharSet::words();
  const CharSet& spaces = CharSet::spaces();
  enum Kind { space, word, other };
  Kind kind(char32_t code) const {
    return words.has(code) ? word : spaces.has(code) ? space : other;
  }
  template <class Visit>
  void for_each_match(std::string_view text, const Visit& visit) const {
    Kind last = space;
    size_t begin = 0;
    const auto finish = [&](size_t end) {
      if (last != space) visit(Span{begin, end});
      begin = end;
    };
    for_each_code_point(text, [&](char32_t code, std::string_view bytes) {
      const Kind here = kind(code);
      if (here != last) finish(static_cast<size_t>(bytes.data() - text.data()));
      last = here;
    });
    finish(text.size());
  }
};

class MetaspaceStep : public PreTokenizerStep {
 public:
  MetaspaceStep(std::string symbol, Prepend prepend, bool split)
      : symbol_(std::move(symbol)), prepend_(prepend), split_(split) {}

  void apply(Pieces& pieces, Before before) const override {
    std::string changed;
    changed.reserve(pieces.text.size() + pieces.text.size() / 2 + symbol_.size());
    rewrite_ends(pieces, [&](std::string_view piece, size_t begin) {
      const bool puts = prepend_ == Prepend::always
                            ? begin > 0 || before != Before::bytes
                            : prepend_ == Prepend::first && begin == 0 && before == Before::nothing;
      if (puts && !piece.starts_with(' ') && !piece.starts_with(symbol_)) changed += symbol_;
      append(piece, pieces.ends, changed);
      pieces.ends.push_back(changed.size());
    });
    pieces.set_text(std::move(changed));
  }
  AtCut at_cut() const override { return split_ ? AtCut::ends_piece : AtCut::keeps; }

 private:
  // Appends the piece to `changed`, and the ends of its parts, except the last, to `ends`.
  void append(std::string_view piece, std::vector<size_t>& ends, std::string& changed) const {
    const size_t first = changed.size();
    for (size_t at = 0; at < piece.size();) {
      const size_t found = find_symbol(piece, at);
      changed += piece.substr(at, found - at);
      if (found == piece.size()) return;
      if (split_ && changed.size() > first) ends.push_back(changed.size());
      changed += symbol_;
      at = found + (piece[found] == ' ' ? 1 : symbol_.size());
    }
  }
  // The offset of the next space or symbol; the end of the piece if there is none.
  size_t find_symbol(std::string_view piece, size_t at) const {
    for (; at < piece.size(); ++at) {
      if (piece[at] == ' ') return at;
      if (split_ && piece[at] == symbol_[0] && piece.substr(at).starts_with(symbol_)) return at;
    }
    return at;
  }

  std::string symbol_;
  Prepend prepend_;
  bool split_;
};

class PrefixSpaceStep : public PreTokenizerStep {
 public:
  void apply(Pieces& pieces, Before before) const override {
    std::string changed;
    rewrite_ends(pieces, [&](std::string_view piece, size_t begin) {
      const bool puts = begin > 0 || before != Before::bytes;
      if (puts && !piece.starts_with(' ')) changed += ' ';
      changed += piece;
      pieces.ends.push_back(changed.size());
    });
    pieces.set_text(std::move(changed));
  }
  AtCut at_cut() const override { return AtCut::keeps; }
};

// Rewrites every piece by a function.
class RewriteStep : public PreTokenizerStep {
 public:
  using Write = std::string (*)(std::string_view);
  explicit RewriteStep(Write write) : write_(write) {}

  void apply(Pieces& pieces, Before) const override {
    std::string changed;
    rewrite_ends(pieces, [&](std::string_view piece, size_t) {
      changed += write_(piece);
      pieces.ends.push_back(changed.size());
    });
    pieces.set_text(std::move(changed));
  }
  // For the steps that follow, a space has become a letter.
  AtCut at_cut() const override { return AtCut::keeps; }

 private:
  Write write_;
};

AtCut at_cut_of_literal(std::string_view pattern, Behavior behavior, bool invert) {
  if (pattern == " " && !invert) {
    return behavior == Behavior::merged_with_previous ? AtCut::differs : AtCut::ends_piece;
  }
  const bool far_from_cuts = std::none_of(pattern.begin(), pattern.end(),
                                          [](char c) { return c == ' ' || is_ascii_letter(c); });
  return far_from_cuts && !invert ? AtCut::keeps : AtCut::differs;
}

// Patterns without hand-written code whose behaviour at a cut is known.
struct KnownPattern {
  std::string_view pattern;
  AtCut at_cut;
};
constexpr KnownPattern kKnownPatterns[] = {
    {"[0-9][0-9][0-9]", AtCut::keeps},
    {R"(\d{1,3})", AtCut::keeps},
    {R"(\p{N})", AtCut::keeps},
    {R"(\p{N}+)", AtCut::keeps},
    {R"(\p{N}{1,3})", AtCut::keeps},
    // The patterns of DeepSeek.
    {"[\r\n]", AtCut::keeps},
    {R"(\s?\p{L}+)", AtCut::ends_piece},
    {R"(\s?\p{P}+)", AtCut::keeps},
    {"[一-龥ࠀ-一가-퟿]+", AtCut::keeps},
    {"[一-龥぀-ゟ゠-ヿ]+", AtCut::keeps},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
     "\r\n"
     R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
     "\r\n"
     R"(]*|\s*[)"
     "\r\n"
     R"(]+|\s+(?!\S)|\s+)",
     AtCut::ends_piece},
};

AtCut at_cut_of_pattern(std::string_view pattern) {
  // Every pattern that has hand-written code ends a piece between a letter and a space that a
  // letter follows, wherever the text begins and ends.
  if (make_fast_splitter(pattern)) return AtCut::ends_piece;
  for (const KnownPattern& known : kKnownPatterns) {
    if (known.pattern == pattern) return known.at_cut;
  }
  return AtCut::differs;
}

}  // namespace

std::unique_ptr<PreTokenizerStep> make_split_step(std::string_view pattern, Dialect dialect,
                                                  Behavior behavior, bool invert) {
  if (behavior == Behavior::isolated) {
    return std::make_unique<IsolatedStep>(make_splitter(pattern, dialect),
                                          at_cut_of_pattern(pattern));
  }
  return make_match_step(RegexFinder{std::make_unique<Regex>(pattern, dialect)}, behavior, invert,
                         AtCut::differs);
}

std::unique_ptr<PreTokenizerStep> make_literal_split_step(std::string pattern, Behavior behavior,
                                                          bool invert) {
  const AtCut at_cut = at_cut_of_literal(pattern, behavior, invert);
  return make_match_step(LiteralFinder{std::move(pattern)}, behavior, invert, at_cut);
}

std::unique_ptr<PreTokenizerStep> make_punctuation_step(Behavior behavior) {
  return make_match_step(CharFinder{CharSet::punctuation()}, behavior, false, AtCut::keeps);
}

std::unique_ptr<PreTokenizerStep> make_digits_step(bool individual) {
  return make_match_step(CharFinder{CharSet::numbers()},
                         individual ? Behavior::isolated : Behavior::contiguous, false,
                         AtCut::keeps);
}

std::unique_ptr<PreTokenizerStep> make_white_space_step() {
  return make_match_step(CharFinder{CharSet::spaces()}, Behavior::removed, false,
                         AtCut::ends_piece);
}

std::unique_ptr<PreTokenizerStep> make_words_step() {
  return make_match_step(WordFinder{}, Behavior::removed, true, AtCut::ends_piece);
}

std::unique_ptr<PreTokenizerStep> make_metaspace_step(std::string symbol, Prepend prepend,
                                                      bool split) {
  return std::make_unique<MetaspaceStep>(std::move(symbol), prepend, split);
}

std::unique_ptr<PreTokenizerStep> make_prefix_space_step() {
  return std::make_unique<PrefixSpaceStep>();
}

std::unique_ptr<PreTokenizerStep> make_byte_letters_step() {
  return std::make_unique<RewriteStep>(to_byte_letters);
}

std::unique_ptr<PreTokenizerStep> make_bytes_step() {
  return std::make_unique<RewriteStep>(
      [](std::string_view piece) { return from_byte_letters(piece).value_or(""); });
}

}  // namespace mythos
