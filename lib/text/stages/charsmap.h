#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/stages/charsmap_trie.h"

namespace mythos {

// The normalisation rules that a SentencePiece model carries, as Hugging Face's tokenizers applies
// them ("Precompiled"): to short graphemes whole, to others character by character.
class Charsmap {
 public:
  // `bytes`: the size of a trie in bytes, the trie in units of 4 bytes, both little-endian, and
  // texts that end with NUL. Fails (data) where they are laid out otherwise.
  explicit Charsmap(std::string_view bytes);

  // Appends what well-formed `text` becomes.
  void apply(std::string_view text, std::string& out) const;

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  uint32_t find(std::string_view chunk) const;
  bool put(std::string_view chunk, std::string& out) const;
  void put_grapheme(std::string_view grapheme, std::string& out) const;

  CharsmapTrie trie_;
  std::string texts_;
  std::array<uint32_t, 128> ascii_ = {};  // places in texts_
};

}  // namespace mythos
