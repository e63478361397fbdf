#pragma once
#include "base/timing.h"
#include "data/read/input_options.h"

namespace mythos {

struct TokenizeBench {
  InputOptions input;
  std::vector<std::string> tokenizers;  // paths
  int threads = 1, repeat = 5, warmup = 1;
  uint64_t max_bytes = 256'000'000;  // reading stops with the document that reaches it
};

// Does "mythos bench tokenize": measures the times to load each tokenizer and to encode and decode
// documents in memory, and gives facts about the text and the ids. Fails (data) if there is no
// text.
BenchResult bench_tokenize(const TokenizeBench& options);

}  // namespace mythos
