#pragma once
#include <string>
#include <vector>

#include "base/files.h"
#include "text/tokenizer.h"

namespace mythos {

// Writes a tokenizer's file into a folder under the name that other programs look for
// (tokenizer.json, tokenizer.model, tekken.json, tokenizer[.ENCODING].tiktoken), and returns the
// names of what was written. BOS and EOS that differ from what the file tells are named in
// tokenizer_config.json, those without a name of their own by id in generation_config.json;
// load_tokenizer() of the folder gives a tokenizer of the same fingerprint.
std::vector<std::string> export_tokenizer(const fs::path& folder, const Tokenizer& tokenizer);

// Whether export_tokenizer() may give a file this name.
bool is_tokenizer_export(std::string_view file_name);

}  // namespace mythos
