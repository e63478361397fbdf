#pragma once
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace mythos {

// Whether the bytes are laid out as a SentencePiece ModelProto with at least one piece.
bool looks_like_sentencepiece(std::string_view content);

// A tokenizer over the SentencePiece library (Kudo and Richardson, 2018). `source` names the file
// in messages. Fails (data) when the content is not a model.
//
// A model whose normalizer changes nothing and that has byte fallback, as `mythos vocab` trains it,
// is exact: bytes that SentencePiece would alter (invalid UTF-8, NUL, U+2581, which it uses for the
// space) never reach it and become byte pieces. Other models normalise as they ask for, and
// decoding does not bring everything back: not a leading space if the model adds one, not
// normalised characters, and not bytes outside the vocabulary, which become <unk> and decode to
// nothing. Specials::parse finds the names of control pieces; text after such a name gets no space
// in front if the normalizer changes nothing else.
std::unique_ptr<Tokenizer> parse_sentencepiece(std::string content, const std::string& source);

// Turns SentencePiece's own messages on stderr on or off.
void show_sentencepiece_log(bool show);

}  // namespace mythos
