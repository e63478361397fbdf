#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace mythos {

// Whether the bytes look like a JSON object.
bool looks_like_json(std::string_view content);

// The tokenizer.json of Hugging Face's `tokenizers`. Read are: the models of hf_model.h; the
// normalizers of hf_normalizer.h; the pre-tokenizers of hf_pre_tokenizer.h; the decoders of
// hf_decoder.h; added tokens. The post-processor adds nothing here. Anything else that would change
// ids or text fails (data), naming `source` and the place in the JSON.
//
// BOS and EOS are the special tokens that a TemplateProcessing puts before and behind a single
// text; else the first of the usual names (<|begin_of_text|>, <s> …; <|endoftext|>, </s> …) among
// the special tokens; else such a name in the vocabulary, if no text can give it.
std::unique_ptr<Tokenizer> parse_hf_tokenizer(std::string content, const std::string& source);

}  // namespace mythos
