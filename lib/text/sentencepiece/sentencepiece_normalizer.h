#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "text/stages/charsmap_trie.h"

namespace sentencepiece::normalizer {
class PrefixMatcher;
}

namespace mythos {

// The normalisation that a SentencePiece model asks for (its NormalizerSpec).
struct SentencePieceRules {
  std::string charsmap;  // precompiled_charsmap: a double-array trie and the strings it points into
  bool remove_extra_spaces = true;  // spaces at the beginning, at the end, and after another space
  bool escape_spaces = true;        // " " becomes U+2581
  // The user-defined symbols, which normalisation leaves as they are; null if the model has none.
  const sentencepiece::normalizer::PrefixMatcher* symbols = nullptr;
};

// Normalizes text as the library does (sentencepiece::normalizer::Normalizer), but part by part:
// the library would hold the whole text, its normalized form and eight bytes of position for each
// byte.
class SentencePieceNormalizer {
 public:
  // Fails (data) if the character map is damaged. `source` names the model in messages.
  SentencePieceNormalizer(SentencePieceRules rules, const std::string& source);
  SentencePieceNormalizer(const SentencePieceNormalizer&) = delete;

 private:
  friend class NormalizedText;
  struct Unit {
    std::string_view text;  // normalized
    size_t bytes = 0;       // of the original text
  };
  Unit first_unit(std::string_view text) const;
  Unit mapped_unit(std::string_view text) const;

  SentencePieceRules rules_;
  std::string_view space_;  // the space of normalized text
  CharsmapTrie trie_;
  std::string_view replacements_;  // strings that end with NUL, in rules_.charsmap
};

// The normalized form of one text, read from the beginning to the end.
class NormalizedText {
 public:
  // `space_before` and `space_after` add a space before or after the text (the model's "dummy
  // prefix").
  NormalizedText(const SentencePieceNormalizer& normalizer, std::string_view text,
                 bool space_before, bool space_after);

  // Appends the next `bytes` bytes of whole characters, or a few more, to `out`. Returns false once
  // the text has ended.
  bool read(size_t bytes, std::string& out);

 private:
  void append(std::string_view unit, std::string& out);

  const SentencePieceNormalizer& normalizer_;
  std::string_view rest_;
  bool space_before_, space_after_;
  bool behind_space_ = false;
  size_t held_spaces_ = 0;  // written only if another character follows
};

}  // namespace mythos
