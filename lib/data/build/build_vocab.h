#pragma once
#include <cstdint>
#include <string>

#include "base/files.h"
#include "data/read/input_options.h"
#include "text/vocab/train_vocab.h"

namespace mythos {

struct BuiltVocab {
  int64_t vocab_size = 0;
  std::string fingerprint;
  uint64_t text_bytes = 0, sample_bytes = 0;  // read, and of these trained on
  double bytes_per_token = 0;                 // over the first megabyte trained on
};

// Reads the input, trains on a uniform sample of at most `sample_bytes` and writes the model to
// `output`. Fails as open_documents(), check_output() and train_vocab().
BuiltVocab build_vocab(const InputOptions& input, uint64_t sample_bytes,
                       const VocabOptions& options, const fs::path& output);

}  // namespace mythos
