#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// Where a stretch of text lies in what is normalised.
struct TextPlace {
  bool begins = true, ends = true;  // nothing stands before it, behind it
};

// One step of a Normalizer.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  // Appends what well-formed `text` becomes to `out`. May be called from several threads at once.
  virtual void apply(std::string_view text, TextPlace place, std::string& out) const = 0;
  // Whether text can be cut between an ASCII letter and a space that such a letter follows, and its
  // parts normalised one by one.
  virtual bool can_cut() const { return true; }
};

std::unique_ptr<NormalizerStep> make_form_step(std::string_view form);  // "NFC" …
std::unique_ptr<NormalizerStep> make_lower_case_step();
// Takes off accents and other marks.
std::unique_ptr<NormalizerStep> make_strip_accents_step();
// BERT's: without control characters and U+FFFD, every white space a space; a space at both sides
// of an ideograph; without marks that take no room of their own.
std::unique_ptr<NormalizerStep> make_clean_text_step();
std::unique_ptr<NormalizerStep> make_space_ideographs_step();
std::unique_ptr<NormalizerStep> make_strip_nonspacing_step();
// SentencePiece's rules for machine translation: no control characters, one kind of space.
std::unique_ptr<NormalizerStep> make_nmt_step();
// The rules that a SentencePiece model carries, see charsmap.h. Fails (data) as Charsmap does.
std::unique_ptr<NormalizerStep> make_charsmap_step(std::string_view bytes);
// Puts text in front, unless there is no text.
std::unique_ptr<NormalizerStep> make_prepend_step(std::string prefix);
// Takes off white space at the ends.
std::unique_ptr<NormalizerStep> make_strip_step(bool left, bool right);
std::unique_ptr<NormalizerStep> make_replace_step(std::string pattern, std::string content);
// By a regular expression in Oniguruma's dialect. Fails (data) as make_splitter does.
std::unique_ptr<NormalizerStep> make_replace_regex_step(std::string_view pattern,
                                                        std::string content);

// Changes text before it is cut into pieces, step by step.
class Normalizer {
 public:
  void add(std::unique_ptr<NormalizerStep> step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  // What well-formed `text` becomes.
  std::string apply(std::string_view text, TextPlace place = {}) const;
  bool can_cut() const;

 private:
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace mythos
