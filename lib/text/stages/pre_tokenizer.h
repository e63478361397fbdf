#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/split/splitter.h"

namespace mythos {

// Kinds of context that a stretch of text may follow.
enum class Before {
  nothing,  // the text begins
  token,    // an added token
  text,     // text that was cut off by safe_cut()
  bytes,    // bytes that are not UTF-8; no step puts anything in front of the text then
};

// What a split step does with the matches of its pattern.
enum class Behavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

// When a Metaspace step puts its symbol before a piece that does not begin with one.
enum class Prepend { always, first, never };  // first: only where the text begins

// A text that is cut into pieces.
struct Pieces {
  std::string_view text;
  std::vector<size_t>& ends;  // end offset of each piece; the last is text.size()
  std::string& storage;       // holds the text once a step has changed it

  void set_text(std::string changed) {
    storage = std::move(changed);
    text = storage;
  }
};

// The effect of a step on text that is cut between an ASCII letter and a space that such a letter
// follows.
enum class AtCut {
  ends_piece,  // a piece ends at the cut anyhow
  keeps,       // the cut changes nothing else
  differs,     // the pieces may change
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  // Cuts each piece into smaller ones, or changes it. May be called from several threads at once.
  virtual void apply(Pieces& pieces, Before before) const = 0;
  virtual AtCut at_cut() const = 0;
};

// Cuts at the matches of a regular expression (make_splitter).
std::unique_ptr<PreTokenizerStep> make_split_step(std::string_view pattern, Dialect dialect,
                                                  Behavior behavior = Behavior::isolated,
                                                  bool invert = false);
std::unique_ptr<PreTokenizerStep> make_literal_split_step(std::string pattern, Behavior behavior,
                                                          bool invert);
std::unique_ptr<PreTokenizerStep> make_punctuation_step(Behavior behavior);
std::unique_ptr<PreTokenizerStep> make_digits_step(bool individual);
// Drops white space.
std::unique_ptr<PreTokenizerStep> make_white_space_step();
// Drops white space and cuts between words (\w+) and other characters.
std::unique_ptr<PreTokenizerStep> make_words_step();
// Writes spaces as `symbol`; with `split` each symbol begins a piece.
std::unique_ptr<PreTokenizerStep> make_metaspace_step(std::string symbol, Prepend prepend,
                                                      bool split);
// Puts a space before each piece that does not begin with one.
std::unique_ptr<PreTokenizerStep> make_prefix_space_step();
// Writes bytes as letters (byte_alphabet.h); the second step writes such letters as bytes again.
std::unique_ptr<PreTokenizerStep> make_byte_letters_step();
std::unique_ptr<PreTokenizerStep> make_bytes_step();

// Cuts text into pieces by steps; each step cuts within the pieces of the step before. Without a
// step the text is one piece.
class PreTokenizer {
 public:
  void add(std::unique_ptr<PreTokenizerStep> step) { steps_.push_back(std::move(step)); }
  // Adds a step that cuts by a regular expression (make_splitter).
  void add_split(std::string_view pattern, Dialect dialect = Dialect::rust) {
    add(make_split_step(pattern, dialect));
  }

  // Fills `ends` with the end of each piece. `text` is well-formed UTF-8 and not empty. Where steps
  // change it, `text` becomes the changed text, held by `storage`.
  void split(std::string_view& text, Before before, std::string& storage,
             std::vector<size_t>& ends) const;

  // The offset at which to cut off a part of about `wanted` bytes of a long text, so that the
  // parts' pieces are those of the whole; text.size() if no such offset is known. Parts after the
  // first are split with Before::text.
  size_t safe_cut(std::string_view text, size_t wanted) const;
  // The effect of all steps together on text that is cut where safe_cut() cuts.
  AtCut at_cut() const;

 private:
  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
};

}  // namespace mythos
