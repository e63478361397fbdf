#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace mythos {

// What the loaders of rank files and tokenizer.json find in them.
struct ByteBpeParts {
  explicit ByteBpeParts(BpeParts model) : bpe(std::move(model)) {}

  BpeParts bpe;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokens added;
  std::optional<uint32_t> bos, eos;
  int64_t vocab_size = 0;
  std::string assumption;   // see Tokenizer
  bool open_ended = false;  // special tokens that are not known may lie behind the vocabulary
  // Shows tokens as the file does: in the letters that GPT-2 writes bytes with.
  bool byte_letters = false;
  std::vector<uint32_t> verbatim_ids;  // sorted; tokens whose names are not in those letters
};

// A byte-level BPE tokenizer: added tokens are found first; the text between is cut into
// well-formed UTF-8 and runs of other bytes; the former is normalised and cut into pieces by the
// pre-tokenizer, each of the latter is one piece; and bytes merge within a piece.
std::unique_ptr<Tokenizer> make_byte_bpe(ByteBpeParts parts, std::string file_content,
                                         std::string file_name);

}  // namespace mythos
