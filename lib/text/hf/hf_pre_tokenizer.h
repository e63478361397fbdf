#pragma once
#include "text/hf/hf_json.h"
#include "text/stages/pre_tokenizer.h"

namespace mythos {

struct HfPreTokenizer {
  PreTokenizer steps;
  bool byte_level = false;  // the vocabulary writes bytes in letters
};

// Reads a tokenizer.json's member "pre_tokenizer". Fails (data) on kinds and settings that are not
// supported.
HfPreTokenizer read_hf_pre_tokenizer(const HfJson& pre_tokenizer);

}  // namespace mythos
