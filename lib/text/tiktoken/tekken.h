#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace mythos {

// Whether the bytes look like a tekken.json.
bool looks_like_tekken(std::string_view content);

// Reads byte-level BPE from Mistral's tekken.json, as the package mistral-common does. The special
// tokens have the first ids: config.default_num_special_tokens of them, named by "special_tokens"
// or, in files without that, as in mistral-common, and further ones "<SPECIAL_ID>". The ranks
// follow them. The vocabulary is cut to config.default_vocab_size. BOS is <s>, EOS </s>. Fails
// (data), naming `source` and the place in the JSON, on what is missing, malformed or
// contradictory.
std::unique_ptr<Tokenizer> parse_tekken(std::string content, const std::string& source);

}  // namespace mythos
