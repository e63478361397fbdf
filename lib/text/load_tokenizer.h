#pragma once
#include <memory>
#include <string>

#include "base/files.h"
#include "text/tokenizer.h"

namespace mythos {

// A tokenizer as a user names it.
struct TokenizerChoice {
  // A file: a SentencePiece model, a tiktoken rank file, a Hugging Face tokenizer.json or Mistral's
  // tekken.json, recognised by its content, not its name. "FILE:ENCODING" names the encoding of a
  // rank file, and so does its carried name (carried_name.h).
  // Or a folder: its tokenizer is the first that exists of tokenizer.json, tokenizer.model,
  // tekken.json and the other carried names of these kinds, else the only file named *.tiktoken.
  std::string path;
  // The name or id of the tokens that documents begin and end with. If empty, the carried name
  // tells them; else, for a tokenizer.json and for a file with a carried name, the files beside it
  // do (hf_special_files.h); else the file itself.
  std::string bos, eos;
};

// Loads a tokenizer and warns of what it had to assume. Fails (data) if the file is missing,
// damaged or no tokenizer of these kinds, and (usage) if an encoding must be named or a chosen
// token is not in the vocabulary or stands for text.
std::unique_ptr<Tokenizer> load_tokenizer(const TokenizerChoice& choice);
std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path);

// Loads the tokenizer that a directory of shards or a checkpoint carries; `path` is the directory
// or the file in it. The file and its name alone decide.
std::unique_ptr<Tokenizer> load_carried_tokenizer(const fs::path& path);

}  // namespace mythos
