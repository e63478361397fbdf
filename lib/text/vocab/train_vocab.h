#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// Text to train a vocabulary on. Documents are cut into sentences, and a uniform sample of them of
// at most `max_bytes` is kept, however much is added. The same input gives the same sample.
class TrainingText {
 public:
  explicit TrainingText(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  void add(std::string_view document);
  // The sample in input order. Sentences hold no byte that SentencePiece skips or reserves: invalid
  // UTF-8, NUL, tab, U+2581 and U+2585 end a sentence and are left out.
  std::vector<std::string> take_sentences();

  uint64_t added_bytes() const { return added_bytes_; }
  uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  struct Sentence {
    uint64_t priority, ordinal;
    std::string text;
  };
  void add_run(std::string_view run);
  void add_sentence(std::string_view text);

  uint64_t max_bytes_, added_bytes_ = 0, kept_bytes_ = 0, ordinal_ = 0;
  std::vector<Sentence> heap_;  // the largest priority first
};

enum class VocabType { bpe, unigram };

struct VocabOptions {
  int64_t vocab_size = 0;  // pieces, counting the 256 bytes and <unk>, <s>, </s>
  VocabType type = VocabType::bpe;
  double character_coverage =
      0.9995;             // share of characters that get a piece; the rest become bytes
  bool show_log = false;  // SentencePiece's own messages on stderr
};

// Trains a SentencePiece model and returns its file. Byte fallback, no normalisation, no added or
// removed white space, one token per digit; ids: <unk> 0, <s> 1, </s> 2, the bytes 3 … 258.
// The same sentences and options give the same file. Fails (usage) if the text is too small for the
// vocabulary, naming the largest size that works, or if the vocabulary is too small for the
// characters.
std::string train_vocab(std::vector<std::string> sentences, const VocabOptions& options);

}  // namespace mythos
