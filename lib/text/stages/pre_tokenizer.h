#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/split/splitter.h"

namespace mythos {

// What stands before a stretch of text.
enum class Before {
  nothing,  // the text begins
  token,    // an added token
  text,     // text that was cut off by safe_cut()
  bytes,    // bytes that are not UTF-8; here nothing is put in front
};

// What becomes of the matches of a pattern.
enum class Behavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

// When a Metaspace step puts its symbol before a piece that does not begin with one.
enum class Prepend { always, first, never };  // first: where the text begins

// A text that is cut into pieces.
struct Pieces {
  std::string_view text;
  std::vector<size_t>& ends;  // of each piece, the last is text.size()
  std::string& storage;       // holds the text once a step has changed it

  void set_text(std::string changed) {
    storage = std::move(changed);
    text = storage;
  }
};

// What a step does where text is cut between an ASCII letter and a space that such a letter
// follows.
enum class AtCut {
  ends_piece,  // a piece ends there anyhow
  keeps,       // the cut changes nothing else
  differs,     // pieces may become others
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  // Cuts each piece into smaller ones or changes it. May be called from several threads at once.
  virtual void apply(Pieces& pieces, Before before) const = 0;
  virtual AtCut at_cut() const = 0;
};

// The matches of a regular expression and what is between them; see make_splitter.
std::unique_ptr<PreTokenizerStep> make_split_step(std::string_view pattern, Dialect dialect,
                                                  Behavior behavior = Behavior::isolated,
                                                  bool invert = false);
std::unique_ptr<PreTokenizerStep> make_literal_split_step(std::string pattern, Behavior behavior,
                                                          bool invert);
std::unique_ptr<PreTokenizerStep> make_punctuation_step(Behavior behavior);
std::unique_ptr<PreTokenizerStep> make_digits_step(bool individual);
// Drops white space.
std::unique_ptr<PreTokenizerStep> make_white_space_step();
// Drops white space and parts words (\w+) from what is none.
std::unique_ptr<PreTokenizerStep> make_words_step();
// Writes spaces as `symbol`; with `split` each symbol begins a piece.
std::unique_ptr<PreTokenizerStep> make_metaspace_step(std::string symbol, Prepend prepend,
                                                      bool split);
// Puts a space before each piece that does not begin with one.
std::unique_ptr<PreTokenizerStep> make_prefix_space_step();
// Writes bytes in letters (byte_alphabet.h), and letters as bytes again.
std::unique_ptr<PreTokenizerStep> make_byte_letters_step();
std::unique_ptr<PreTokenizerStep> make_bytes_step();

// The steps that cut text into pieces before merging, one after the other, each within the pieces
// of the one before. No step: the text is one piece.
class PreTokenizer {
 public:
  void add(std::unique_ptr<PreTokenizerStep> step) { steps_.push_back(std::move(step)); }
  // Cuts by a regular expression, see make_splitter.
  void add_split(std::string_view pattern, Dialect dialect = Dialect::rust) {
    add(make_split_step(pattern, dialect));
  }

  // Fills `ends` with the end of each piece. `text` is well-formed UTF-8 and not empty. Where steps
  // change it, `text` becomes the changed text, held by `storage`.
  void split(std::string_view& text, Before before, std::string& storage,
             std::vector<size_t>& ends) const;

  // Where to cut a long text into parts of about `wanted` bytes whose pieces are those of the
  // whole; text.size() where no such place is known. Parts behind the first are split with
  // Before::text.
  size_t safe_cut(std::string_view text, size_t wanted) const;
  // Whether safe_cut() can find places, given that what follows needs no piece to end there.
  AtCut at_cut() const;

 private:
  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
};

}  // namespace mythos
