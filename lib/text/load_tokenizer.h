#pragma once
#include <memory>
#include <string>

#include "base/files.h"
#include "text/tokenizer.h"

namespace mythos {

// How a user names a tokenizer.
struct TokenizerChoice {
  // A file: a SentencePiece model, a tiktoken rank file, a Hugging Face tokenizer.json or Mistral's
  // tekken.json, told by content, not by name. "FILE:ENCODING" names the encoding of a rank file,
  // as does its carried name (carried_name.h).
  // Or a folder that holds one: the first there is of tokenizer.json, tokenizer.model, tekken.json
  // and the other carried names of these kinds, then the only file named *.tiktoken.
  std::string path;
  // Name or id of the tokens that documents begin and end with. Where empty, the carried name tells
  // them; else, for a tokenizer.json and for any file with a carried name, the files beside it
  // (hf_special_files.h); else the file.
  std::string bos, eos;
};

// Warns of what the loader had to assume. Fails (data) when the file is missing, damaged or not a
// tokenizer that this reads, and (usage) when an encoding must be named or a chosen token is not
// in the vocabulary or stands for text.
std::unique_ptr<Tokenizer> load_tokenizer(const TokenizerChoice& choice);
std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path);

// The tokenizer that a directory of shards or a checkpoint carries, named by the directory or by
// the file in it: the file and its name tell everything.
std::unique_ptr<Tokenizer> load_carried_tokenizer(const fs::path& path);

}  // namespace mythos
