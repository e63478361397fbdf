#pragma once
#include <cstdio>
#include <string>

#include "data/shards/shards.h"

namespace mythos {

struct PrintOptions {
  bool ids = false;       // print ids as stored, a document on each line, instead of text
  bool mask = false;      // with `ids`: print 1 for a token that counts and 0 for each other
  std::string separator;  // printed between documents that are printed as text
};

// Prints tokens first … end-1 of a split, as text or ids, block by block. Fails (resources) if
// `out` cannot be written.
void print_tokens(const ShardDirectory& shards, const Tokenizer& tokenizer,
                  ShardDirectory::Split split, uint64_t first, uint64_t end,
                  const PrintOptions& options, std::FILE* out);

// Prints the first documents of a split. When they are printed as text, a line before each document
// tells its number and size, and each ends with a new line.
void print_documents(const ShardDirectory& shards, const Tokenizer& tokenizer,
                     ShardDirectory::Split split, uint64_t documents, bool ids, std::FILE* out);

}  // namespace mythos
