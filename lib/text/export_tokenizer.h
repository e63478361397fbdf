#pragma once
#include <string>
#include <vector>

#include "base/files.h"
#include "text/tokenizer.h"

namespace mythos {

// Writes a tokenizer's file into a folder under the name that other programs look for
// (tokenizer.json, tokenizer.model, tekken.json, tokenizer[.ENCODING].tiktoken), and returns the
// names of what was written. If BOS and EOS differ from what the file tells, tokenizer_config.json
// names them, or generation_config.json gives their ids if they have no names of their own.
// load_tokenizer() of the folder gives a tokenizer with the same fingerprint.
std::vector<std::string> export_tokenizer(const fs::path& folder, const Tokenizer& tokenizer);

// Whether export_tokenizer() may give a file this name.
bool is_tokenizer_export(std::string_view file_name);

}  // namespace mythos
