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
// space) never reach it and become byte pieces. Other models are used as their normalizer says;
// what that drops or folds is not brought back by decoding: a leading space where the model adds
// one, normalised characters, and bytes outside the vocabulary, which become <unk> (decoded to
// nothing). Specials::parse finds the names of control pieces; text behind one gets no space in
// front where the normalizer changes nothing else.
std::unique_ptr<Tokenizer> parse_sentencepiece(std::string content, const std::string& source);

// Level of SentencePiece's own messages on stderr.
void show_sentencepiece_log(bool show);

}  // namespace mythos
