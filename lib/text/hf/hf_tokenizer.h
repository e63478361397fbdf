#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace mythos {

// Whether the bytes look like a JSON object.
bool looks_like_json(std::string_view content);

// Reads the tokenizer.json of Hugging Face's `tokenizers`: the models of hf_model.h, the
// normalizers of hf_normalizer.h, the pre-tokenizers of hf_pre_tokenizer.h, the decoders of
// hf_decoder.h, and added tokens. The post-processor tells only BOS and EOS. Anything else that
// would change ids or text fails (data), naming `source` and the path in the JSON.
//
// BOS and EOS are the special tokens that the post-processor puts before and after a single text;
// else the first of the usual names (<|begin_of_text|>, <s> …; <|endoftext|>, </s> …) among the
// special tokens; else such a name in the vocabulary, if no text can give it.
std::unique_ptr<Tokenizer> parse_hf_tokenizer(std::string content, const std::string& source);

}  // namespace mythos
