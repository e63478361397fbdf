#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace mythos {

// A rank file of OpenAI's tiktoken: lines of a token's bytes in base64, a space and its rank, which
// is its id. The file tells neither the pattern that cuts text into pieces nor the special tokens:
// the name of an encoding does (tiktoken's openai_public.py).

// Whether the first line is one of a rank file.
bool looks_like_tiktoken(std::string_view content);

// Whether this names an encoding: r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base or
// o200k_harmony.
bool is_tiktoken_encoding(std::string_view name);
// All of them: "r50k_base, p50k_base, …".
std::string tiktoken_encodings();

// The encoding that a carried rank file names, "tokenizer.ENCODING.tiktoken"; empty for other
// names.
std::string_view encoding_of_file_name(std::string_view file_name);

// Without an encoding the number of ranks tells it: 50256 r50k_base, 50280 p50k_base, 100256
// cl100k_base, 199998 o200k_harmony. A file with another number of ranks than its encoding takes
// only the pattern from it, and one special token, <|endoftext|> behind the last rank.
// Ids without a token (holes) are inside the vocabulary and stand for nothing.
// Fails (data) naming `source` and the line on a malformed, repeated or missing rank, and (usage)
// when an encoding must be named or is unknown.
std::unique_ptr<Tokenizer> parse_tiktoken(std::string content, const std::string& source,
                                          std::string_view encoding);

}  // namespace mythos
