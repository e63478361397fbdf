#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/pieces/double_array.h"
#include "text/pieces/piece_model.h"

namespace mythos {

// What a tokenizer.json tells of a WordPiece model.
struct WordPieceParts {
  explicit WordPieceParts(Vocabulary tokens) : vocabulary(std::move(tokens)) {}

  // find() gives the tokens that text may have.
  Vocabulary vocabulary;
  std::string prefix = "##";  // of tokens that go on within a word
  uint32_t unknown_id = 0;    // of a word that tokens do not cover, or that is too long
  size_t max_characters = 100;
};

// BERT's tokens of a word: the longest one that the rest of it begins with, again and again.
class WordPiece : public PieceModel {
 public:
  explicit WordPiece(WordPieceParts parts);

  const Vocabulary& vocabulary() const override { return parts_.vocabulary; }
  void encode_pieces(std::string_view text, std::span<const size_t> ends,
                     std::vector<uint32_t>& ids) const override;
  void encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const override;
  bool text_gives(uint32_t id) const override;

 private:
  void encode(std::string_view word, std::vector<uint32_t>& ids) const;

  WordPieceParts parts_;
  std::unique_ptr<DoubleArray> first_, further_;  // tokens, those of further_ without the prefix
  uint32_t number_;                               // tells models apart
};

}  // namespace mythos
