#pragma once
#include "text/hf_json.h"
#include "text/pre_tokenizer.h"

namespace mythos {

// The steps of a tokenizer.json's member "pre_tokenizer". Fails (data) on kinds and settings that
// are not supported, and where no ByteLevel is the last: then the vocabulary is not one of bytes.
PreTokenizer read_hf_pre_tokenizer(const HfJson& pre_tokenizer);

}  // namespace mythos
