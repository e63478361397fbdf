#pragma once
#include <string>

#include "base/files.h"

// The two files that tokenizers of GPT-2's kind had before tokenizer.json: vocab.json, an object of
// tokens and ids, and merges.txt, a pair of tokens a line, behind a line "#version: …". Tokens are
// bytes in letters (byte_alphabet.h). CLIP's, as image models carry them, are told by "</w>" at the
// end of words' last tokens.
namespace mythos {

// Whether the path is a vocab.json with a merges.txt beside it.
bool is_gpt2_vocab(const fs::path& path);

// A tokenizer.json of the tokens in `content`, that of `vocab`, and of the merges beside it, with
// GPT-2's pattern or CLIP's. Tokens that such vocabularies hold for control, such as <|endoftext|>
// and <s>, are special. Fails (data) on a vocab.json that is no JSON object or has "</w>" and is
// not CLIP's; what else is wrong parse_hf_tokenizer() finds.
std::string gpt2_tokenizer_json(const fs::path& vocab, const std::string& content);

}  // namespace mythos
