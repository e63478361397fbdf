#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/pieces/double_array.h"
#include "text/pieces/piece_model.h"

namespace mythos {

// The facts about a WordPiece model that a tokenizer.json gives.
struct WordPieceParts {
  explicit WordPieceParts(Vocabulary tokens) : vocabulary(std::move(tokens)) {}

  // Its find() gives the tokens that text may have.
  Vocabulary vocabulary;
  std::string prefix = "##";  // marks tokens that continue a word
  uint32_t unknown_id = 0;    // the token of a word that tokens do not cover, or that is too long
  size_t max_characters = 100;
};

// Cuts a word into BERT's tokens: each is the longest token that the rest of the word begins with.
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
  // Tokens that begin a word, and without the prefix those that continue one.
  std::unique_ptr<DoubleArray> first_, further_;
  uint32_t number_;  // different for each model
};

}  // namespace mythos
