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

// What a rank file, a tokenizer.json or a tekken.json contains, as its loader found it.
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
  std::string assumption;   // see Tokenizer::assumption()
  bool open_ended = false;  // unknown special tokens may have ids beyond the vocabulary
  // Tokens are shown as the file writes them: in GPT-2's letters for bytes (byte_alphabet.h).
  bool byte_letters = false;
  // Sorted; tokens that the file writes as they are, not in those letters.
  std::vector<uint32_t> verbatim_ids;
  // The texts that the tokens of the vocabulary decode to, if they differ from how the tokens are
  // written.
  std::optional<TokenTexts> texts;
  bool drops_first_space = false;  // decoding drops the space that encoding put in front
};

// A tokenizer that works in stages. It finds added tokens first, and cuts the text between them
// into well-formed UTF-8 and runs of other bytes. The UTF-8 is normalised, cut into pieces by the
// pre-tokenizer and encoded piece by piece by the model; runs of other bytes go to the model as
// they are.
std::unique_ptr<Tokenizer> make_staged_tokenizer(TokenizerParts parts, std::string file_content,
                                                 std::string file_name);

}  // namespace mythos
