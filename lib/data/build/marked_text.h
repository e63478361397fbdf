#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/read/masked_rows.h"
#include "text/tokenizer.h"

namespace mythos {

// The hash of a document's text and of what counts in it, from that of the text.
uint64_t marked_hash(uint64_t text_hash, const std::vector<TextPart>& parts);

// Encodes documents whose parts count or not.
class PartEncoder {
 public:
  // `specials` is for parts that are no markup; documents get BOS and EOS as told.
  PartEncoder(const Tokenizer& tokenizer, Specials specials, bool bos, bool eos);

  // Appends the ids of a text, each of its parts encoded by itself, and the marks of all tokens of
  // the document, those of BOS and EOS included: BOS does not count, EOS does if the last part
  // does. If the tokenizer puts a space in front of a text, the space that a later part begins with
  // is taken for it.
  void encode(std::string_view text, const std::vector<TextPart>& parts, std::vector<uint32_t>& ids,
              std::vector<uint32_t>& mask) const;

 private:
  const Tokenizer& tokenizer_;
  Specials specials_;
  bool bos_, eos_, puts_space_;
};

}  // namespace mythos
