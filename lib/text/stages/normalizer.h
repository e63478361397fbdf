#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// Whether a stretch of text begins and ends the whole text that is normalised.
struct TextPlace {
  bool begins = true, ends = true;  // no text stands before it, or after it
};

// A step of a Normalizer.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  // Appends to `out` what the step makes of well-formed `text`. May be called from several threads
  // at once.
  virtual void apply(std::string_view text, TextPlace place, std::string& out) const = 0;
  // Whether normalising gives the same when text is cut between an ASCII letter and a space that an
  // ASCII letter follows, and the parts are normalised one by one.
  virtual bool can_cut() const { return true; }
};

// "NFC", "NFD", "NFKC" or "NFKD".
std::unique_ptr<NormalizerStep> make_form_step(std::string_view form);
std::unique_ptr<NormalizerStep> make_lower_case_step();
// Takes off accents and other marks.
std::unique_ptr<NormalizerStep> make_strip_accents_step();
// BERT's steps: clean_text drops control characters and U+FFFD and makes every white space a space;
// the second puts a space on both sides of an ideograph; the third takes off nonspacing marks.
std::unique_ptr<NormalizerStep> make_clean_text_step();
std::unique_ptr<NormalizerStep> make_space_ideographs_step();
std::unique_ptr<NormalizerStep> make_strip_nonspacing_step();
// SentencePiece's rules for machine translation: control characters are dropped, and all spaces
// become one kind.
std::unique_ptr<NormalizerStep> make_nmt_step();
// Applies the rules that a SentencePiece model carries (charsmap.h). Fails (data) as Charsmap does.
std::unique_ptr<NormalizerStep> make_charsmap_step(std::string_view bytes);
// Puts `prefix` in front of a text that is not empty.
std::unique_ptr<NormalizerStep> make_prepend_step(std::string prefix);
// Takes off white space at the ends.
std::unique_ptr<NormalizerStep> make_strip_step(bool left, bool right);
std::unique_ptr<NormalizerStep> make_replace_step(std::string pattern, std::string content);
// Replaces the matches of a regular expression in Oniguruma's dialect. Fails (data) as
// make_splitter does.
std::unique_ptr<NormalizerStep> make_replace_regex_step(std::string_view pattern,
                                                        std::string content);

// Changes text before it is cut into pieces, step by step.
class Normalizer {
 public:
  void add(std::unique_ptr<NormalizerStep> step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  // The normalised form of well-formed `text`.
  std::string apply(std::string_view text, TextPlace place = {}) const;
  bool can_cut() const;

 private:
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace mythos
