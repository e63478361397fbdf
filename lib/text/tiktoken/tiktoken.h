#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace mythos {

// A rank file of OpenAI's tiktoken: lines of a token's bytes in base64, a space and its rank, which
// is its id. The file tells neither the pattern that cuts text into pieces nor the special tokens:
// the name of an encoding does (tiktoken_encodings.h).

// Whether the first line is one of a rank file.
bool looks_like_tiktoken(std::string_view content);

// Without an encoding the number of ranks tells it. A file with another number of ranks than its
// encoding takes only the pattern from it, and one special token, <|endoftext|> behind the last
// rank; that, and a file with as many ranks as an encoding but other ones, is an assumption().
// Then BOS and EOS may also be chosen behind it.
// Ids without a token (holes) are inside the vocabulary and stand for nothing; so does the empty
// token "=" of Whisper's files.
// Fails (data) naming `source` and the line on a malformed, repeated or missing rank, and (usage)
// when an encoding must be named or is unknown.
std::unique_ptr<Tokenizer> parse_tiktoken(std::string content, const std::string& source,
                                          std::string_view encoding);

}  // namespace mythos
