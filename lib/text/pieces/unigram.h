#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "text/pieces/double_array.h"
#include "text/pieces/piece_model.h"

namespace mythos {

// What a tokenizer.json tells of a Unigram model.
struct UnigramParts {
  explicit UnigramParts(Vocabulary tokens) : vocabulary(std::move(tokens)) {}

  // find() gives the tokens that text may have.
  Vocabulary vocabulary;
  std::vector<double> scores;  // of each token: the logarithm of its probability
  uint32_t unknown_id = 0;     // of characters that no token covers, runs of them as one
  // Tokens of the bytes of such a run; all kNone where there is no byte fallback.
  std::array<uint32_t, 256> byte_ids = {};
};

// The most probable tokens of a piece (Kudo, 2018), found as Hugging Face's tokenizers does, whose
// sums of scores decide ties. Takes time linear in the piece, and memory bounded by its longest
// stretch across which tokens reach.
class Unigram : public PieceModel {
 public:
  explicit Unigram(UnigramParts parts);

  const Vocabulary& vocabulary() const override { return parts_.vocabulary; }
  void encode_pieces(std::string_view text, std::span<const size_t> ends,
                     std::vector<uint32_t>& ids) const override;
  void encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const override;
  bool text_gives(uint32_t id) const override;

 private:
  struct Node {  // the best path to a place in the piece
    double score = 0;
    uint32_t size = 0, id = 0;  // of its last token; size 0: there is no path yet
  };
  class Path;
  void encode(std::string_view piece, std::vector<uint32_t>& ids) const;
  void put_unknown(std::string_view run, std::vector<uint32_t>& ids) const;

  UnigramParts parts_;
  std::unique_ptr<DoubleArray> trie_;
  double unknown_score_ = 0;
  uint32_t number_;  // tells models apart
};

}  // namespace mythos
