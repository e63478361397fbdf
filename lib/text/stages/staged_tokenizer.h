#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/pieces/bpe_model.h"
#include "text/stages/added_tokens.h"
#include "text/stages/normalizer.h"
#include "text/stages/pre_tokenizer.h"
#include "text/stages/token_texts.h"
#include "text/tokenizer.h"

namespace mythos {

// What the loaders of rank files, tokenizer.json and tekken.json find in them.
struct TokenizerParts {
  explicit TokenizerParts(std::unique_ptr<PieceModel> with) : model(std::move(with)) {}
  explicit TokenizerParts(BpeParts bpe) : model(std::make_unique<BpeModel>(std::move(bpe))) {}

  const Vocabulary& vocabulary() const { return model->vocabulary(); }

  std::unique_ptr<PieceModel> model;
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
  // What the tokens of the vocabulary decode to, where that is not what they are written as.
  std::optional<TokenTexts> texts;
  bool drops_first_space = false;  // decoding drops the space that encoding puts in front
};

// A tokenizer of stages: added tokens are found first; the text between is cut into well-formed
// UTF-8 and runs of other bytes; the former is normalised, cut into pieces by the pre-tokenizer and
// encoded piece by piece by the model, to which the latter go as they are.
std::unique_ptr<Tokenizer> make_staged_tokenizer(TokenizerParts parts, std::string file_content,
                                                 std::string file_name);

}  // namespace mythos
