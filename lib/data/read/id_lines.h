#pragma once
#include <cstdio>

#include "data/read/readers.h"
#include "text/tokenizer.h"

namespace mythos {

// The ids of each document on a line of its own, separated by spaces, without BOS and EOS.
// Fails (resources) when `out` cannot be written.
void write_id_lines(DocumentReader& reader, const Tokenizer& tokenizer, Specials specials,
                    std::FILE* out);

// The text that lines of ids stand for (Tokenizer::decode), without anything between or after them.
// The reader gives the lines as documents; `name` is told in errors. Fails (data) on anything but
// ids of the vocabulary.
void decode_id_lines(DocumentReader& lines, const std::string& name, const Tokenizer& tokenizer,
                     std::FILE* out);

// fwrite that fails (resources) naming standard output.
void write_out(std::string_view bytes, std::FILE* out);

}  // namespace mythos
