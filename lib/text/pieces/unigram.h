#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "text/pieces/double_array.h"
#include "text/pieces/piece_model.h"

namespace mythos {

// The facts about a Unigram model that a tokenizer.json gives.
struct UnigramParts {
  explicit UnigramParts(Vocabulary tokens) : vocabulary(std::move(tokens)) {}

  // Its find() gives the tokens that text may have.
  Vocabulary vocabulary;
  std::vector<double> scores;  // the logarithm of each token's probability
  uint32_t unknown_id = 0;     // the token of a run of characters that no token covers
  // The tokens of the bytes of a run of unknown characters; all kNone if there is no byte fallback.
  std::array<uint32_t, 256> byte_ids = {};
};

// Finds the most probable tokens of a piece (Kudo, 2018). It adds up scores as Hugging Face's
// tokenizers does, so that ties fall the same way. Takes time linear in the piece, and memory
// bounded by the longest stretch of it that tokens reach across.
class Unigram : public PieceModel {
 public:
  explicit Unigram(UnigramParts parts);

  const Vocabulary& vocabulary() const override { return parts_.vocabulary; }
  void encode_pieces(std::string_view text, std::span<const size_t> ends,
                     std::vector<uint32_t>& ids) const override;
  void encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const override;
  bool text_gives(uint32_t id) const override;

 private:
  struct Node {  // the best path to an offset in the piece
    double score = 0;
    uint32_t size = 0, id = 0;  // of the path's last token; size 0: there is no path yet
  };
  class Path;
  void encode(std::string_view piece, std::vector<uint32_t>& ids) const;
  void put_unknown(std::string_view run, std::vector<uint32_t>& ids) const;

  UnigramParts parts_;
  std::unique_ptr<DoubleArray> trie_;
  double unknown_score_ = 0;
  uint32_t number_;  // different for each model
};

}  // namespace mythos
