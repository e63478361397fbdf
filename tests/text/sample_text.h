#pragma once
#include <string>
#include <vector>

#include "base/rng.h"
#include "text/vocab/train_vocab.h"

namespace mythos::test {

// Pseudo-English of invented words with a Zipf-like distribution: enough statistics for a
// vocabulary.
inline std::string sample_text(size_t words, uint64_t seed = 1) {
  const std::string syllables[] = {"ka", "to", "ri",  "men", "sol", "ta",
                                   "er", "in", "the", "qu",  "ü",   "ße"};
  Rng rng(seed);
  std::string text;
  for (size_t i = 0; i < words; ++i) {
    const auto rank = static_cast<uint64_t>(1.0 / (rng.uniform() + 1e-3));
    Rng word(7, rank);
    for (uint64_t n = 1 + word.below(4); n > 0; --n) text += syllables[word.below(12)];
    const uint64_t end = rng.below(20);
    text += end == 0 ? ".\n" : end == 1 ? ", " : end == 2 ? "  " : end == 3 ? " 42 " : " ";
  }
  return text;
}

inline std::string train_sample_model(int64_t vocab_size, VocabType type = VocabType::bpe) {
  TrainingText text(1 << 24);
  text.add(sample_text(20000));
  VocabOptions options;
  options.vocab_size = vocab_size;
  options.type = type;
  return train_vocab(text.take_sentences(), options);
}

// Bytes of every kind in short runs: ASCII, multi-byte characters, invalid bytes, spaces, NUL,
// U+2581.
inline std::string random_bytes(Rng& rng, size_t pieces) {
  const std::string parts[] = {"the",      " ",
                               "  ",       "\n",
                               "\t",       std::string(1, '\0'),
                               "▁",        "▁▁",
                               "<s>",      "</s>",
                               "<unk>",    "<0x41>",
                               "é",        "日本語",
                               "🙂",     "\xF0\x9F",
                               "\xE2",     "\x96\x81",
                               "\xC0\xAF", "\xED\xA0\x80",
                               "\xFF",     "\xFE",
                               "\r\n",     "e\u0301",
                               "12345",    "\u2585",
                               "\u200B",   "\uFEFF",
                               "\uFFFD",   "\u00A0"};
  std::string text;
  for (size_t i = 0; i < pieces; ++i) {
    text += rng.below(4) ? parts[rng.below(std::size(parts))]
                         : std::string(1, static_cast<char>(rng.below(256)));
  }
  return text;
}

}  // namespace mythos::test
