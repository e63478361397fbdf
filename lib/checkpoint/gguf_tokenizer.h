#pragma once
#include "checkpoint/gguf.h"
#include "text/tokenizer.h"

namespace mythos {

// Adds a tokenizer as llama.cpp reads it: byte-level BPE of a tokenizer.json (model "gpt2"), or a
// SentencePiece BPE model with byte fallback and without rules that change text (model "llama").
// Ids up to the model's vocabulary that stand for no token get names of their own. `adds_bos`:
// whether texts begin with BOS. Fails (usage), with the reason, at any other tokenizer.
void add_gguf_tokenizer(const Tokenizer& tokenizer, int64_t vocab_size, bool adds_bos,
                        GgufMetadata& metadata);

}  // namespace mythos
