#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/stages/charsmap_trie.h"

namespace mythos {

// The normalisation rules that a SentencePiece model carries, applied as Hugging Face's tokenizers
// does ("Precompiled"): to a short grapheme as a whole, to a longer one character by character.
class Charsmap {
 public:
  // `bytes` holds the size of a trie in bytes, the trie in units of 4 bytes, both little-endian,
  // and texts that end with NUL. Fails (data) if they are laid out in another way.
  explicit Charsmap(std::string_view bytes);

  // Appends the normalised form of well-formed `text`.
  void apply(std::string_view text, std::string& out) const;

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  uint32_t find(std::string_view chunk) const;
  bool put(std::string_view chunk, std::string& out) const;
  void put_grapheme(std::string_view grapheme, std::string& out) const;

  CharsmapTrie trie_;
  std::string texts_;
  std::array<uint32_t, 128> ascii_ = {};  // offsets in texts_
};

}  // namespace mythos
