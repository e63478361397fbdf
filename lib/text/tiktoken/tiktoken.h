#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace mythos {

// A rank file of OpenAI's tiktoken has a line for each token: its bytes in base64, a space and its
// rank, which is its id. The file tells neither the pattern that cuts text into pieces nor the
// special tokens: the name of an encoding does (tiktoken_encodings.h).

// Whether the first line is that of a rank file.
bool looks_like_tiktoken(std::string_view content);

// Reads a rank file. Without an encoding the number of ranks tells it. A file whose number of ranks
// differs from its encoding's takes only the pattern from it, and one special token, <|endoftext|>
// after the last rank; this is an assumption(), and so is a file with as many ranks as an encoding
// but other tokens. With an assumption BOS and EOS may also be chosen from ids beyond the
// vocabulary.
// Ids without a token (holes) belong to the vocabulary and stand for nothing, like the empty token
// "=" of Whisper's files.
// Fails (data), naming `source` and the line, on a malformed, repeated or missing rank, and (usage)
// if an encoding must be named or is unknown.
std::unique_ptr<Tokenizer> parse_tiktoken(std::string content, const std::string& source,
                                          std::string_view encoding);

}  // namespace mythos
