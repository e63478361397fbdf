#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/pieces/vocabulary.h"

namespace mythos {

// Turns the pieces that a pre-tokenizer has cut into token ids. Const members may be called from
// several threads at once.
class PieceModel {
 public:
  virtual ~PieceModel() = default;

  virtual const Vocabulary& vocabulary() const = 0;
  // Appends the ids of the pieces of `text`, which is well-formed UTF-8; `ends` holds the end
  // offset of each piece.
  virtual void encode_pieces(std::string_view text, std::span<const size_t> ends,
                             std::vector<uint32_t>& ids) const = 0;
  // Appends the ids of bytes that are not UTF-8.
  virtual void encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const = 0;
  // Whether some text may give this token. A false is certain, a true is not.
  virtual bool text_gives(uint32_t id) const = 0;
  // Whether a piece gives the same ids when it is cut between an ASCII letter and a space (or "▁").
  virtual bool ends_at_cut() const { return false; }
};

}  // namespace mythos
