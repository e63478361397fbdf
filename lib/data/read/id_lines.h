#pragma once
#include <cstdio>

#include "data/read/readers.h"
#include "text/tokenizer.h"

namespace mythos {

// Writes the ids of each document on a line of its own, separated by spaces, without BOS and EOS.
// Fails (resources) if `out` cannot be written.
void write_id_lines(DocumentReader& reader, const Tokenizer& tokenizer, Specials specials,
                    std::FILE* out);

// Writes the text that lines of ids stand for (Tokenizer::decode), with nothing between or after
// them. The reader gives the lines as documents; errors name `name`. Fails (data) on anything but
// ids of the vocabulary.
void decode_id_lines(DocumentReader& lines, const std::string& name, const Tokenizer& tokenizer,
                     std::FILE* out);

// Writes to `out` as fwrite does; fails (resources), naming standard output, if that is not
// possible.
void write_out(std::string_view bytes, std::FILE* out);

}  // namespace mythos
