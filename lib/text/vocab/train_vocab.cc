#include "text/vocab/train_vocab.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/sentencepiece/sentencepiece.h"

namespace mythos {
namespace {

constexpr size_t kMaxSentenceBytes = 4096;

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> sentences) : sentences_(std::move(sentences)) {}
  bool done() const override { return next_ >= sentences_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> sentences_;
  size_t next_ = 0;
};

// The offset at which to end a sentence that is longer than the limit: after a line, else before a
// word, else between any characters. Words stay whole, so that a cut does not change the
// statistics.
size_t sentence_end(std::string_view run) {
  if (run.size() <= kMaxSentenceBytes) return run.size();
  for (size_t i = kMaxSentenceBytes; i > kMaxSentenceBytes / 2; --i) {
    if (run[i - 1] == '\n' && run[i] != '\n') return i;
  }
  for (size_t i = kMaxSentenceBytes; i > kMaxSentenceBytes / 2; --i) {
    if (run[i - 1] != ' ' && run[i] == ' ') return i;
  }
  size_t i = kMaxSentenceBytes;
  while ((static_cast<unsigned char>(run[i]) & 0xC0) == 0x80) --i;
  return i;
}

// The first offset from `i` on where eight bytes in a row are not all plain ASCII. Most text is
// plain and is passed over at the speed of memory. NUL and tab are not plain.
size_t skip_plain(std::string_view text, size_t i) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, text.data() + i, 8);
    const uint64_t tab = bytes ^ (kOnes * '\t');
    // A borrow reaches a byte only from a lower one that is itself zero.
    if (((bytes | (bytes - kOnes) | (tab - kOnes)) & kHigh) != 0) break;
  }
  return i;
}

// The number that follows `marker` in SentencePiece's message.
std::string number_after(std::string_view message, std::string_view marker) {
  const size_t at = message.find(marker);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = message.substr(at + marker.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

// The number of SentencePiece's special tokens. It refuses a smaller size before it counts what
// else is needed, so it is never asked for fewer pieces.
constexpr int64_t kSpecialPieces = 3;

// SentencePiece's message without its beginning, the place in its source and the condition that
// failed.
std::string_view without_source(std::string_view message) {
  const size_t end = message.find("] ");
  return trim(end == message.npos ? message : message.substr(end + 2));
}

[[noreturn]] void fail_training(std::string_view message, const VocabOptions& options) {
  const int64_t size = options.vocab_size, tried = std::max(size, kSpecialPieces);
  if (const std::string largest = number_after(message, "Please set it to a value <= ");
      !largest.empty()) {
    fail(ErrorKind::usage,
         strprintf(
             "--vocab-size %d: the text is too small for so many pieces; the largest size that "
             "works is %s.",
             size, largest),
         strprintf("Use --vocab-size %s, or more text.", largest));
  }
  if (const std::string smallest = number_after(message, strprintf(". %d vs ", tried));
      !smallest.empty()) {
    fail(
        ErrorKind::usage,
        strprintf("--vocab-size %d: the 256 bytes, 3 special tokens and the characters of the text "
                  "need at least %s.",
                  size, smallest),
        "Use a larger --vocab-size, or a lower --character-coverage.");
  }
  const std::string_view reason = without_source(message);
  fail(ErrorKind::data,
       strprintf("SentencePiece cannot train a vocabulary of %d on this text", size) +
           (reason.empty() ? "" : ": " + std::string(reason)),
       "Try another --vocab-size or --type, or more text.");
}

}  // namespace

void TrainingText::add(std::string_view document) {
  added_bytes_ += document.size();
  size_t begin = 0, i = 0;
  while (i < document.size()) {
    if (static_cast<signed char>(document[i]) > 0) i = skip_plain(document, i);
    const std::string_view rest = document.substr(i);
    if (rest.empty()) break;
    const int length = utf8_sequence(rest);
    const bool dropped = length <= 0 || rest[0] == '\0' || rest[0] == '\t' ||
                         rest.starts_with("\u2581") || rest.starts_with("\u2585");
    const size_t step = static_cast<size_t>(length <= 0 ? 1 : length);
    if (dropped) {
      add_run(document.substr(begin, i - begin));
      begin = i + step;
    }
    i += step;
  }
  add_run(document.substr(begin));
}

void TrainingText::add_run(std::string_view run) {
  while (!run.empty()) {
    const size_t end = sentence_end(run);
    add_sentence(run.substr(0, end));
    run.remove_prefix(end);
  }
}

// Gives each sentence a random priority and keeps those with the smallest: a uniform sample.
void TrainingText::add_sentence(std::string_view text) {
  const auto less = [](const Sentence& a, const Sentence& b) { return a.priority < b.priority; };
  const uint64_t priority = Rng(1, 0, ordinal_).next();
  const bool full = kept_bytes_ + text.size() > max_bytes_ && !heap_.empty();
  if (full && priority > heap_.front().priority) {
    ++ordinal_;  // this sentence would be the first to leave the sample
    return;
  }
  heap_.push_back({priority, ordinal_++, std::string(text)});
  std::push_heap(heap_.begin(), heap_.end(), less);
  kept_bytes_ += text.size();
  while (kept_bytes_ > max_bytes_ && heap_.size() > 1) {
    std::pop_heap(heap_.begin(), heap_.end(), less);
    kept_bytes_ -= heap_.back().text.size();
    heap_.pop_back();
  }
}

std::vector<std::string> TrainingText::take_sentences() {
  std::sort(heap_.begin(), heap_.end(),
            [](const Sentence& a, const Sentence& b) { return a.ordinal < b.ordinal; });
  std::vector<std::string> sentences;
  sentences.reserve(heap_.size());
  for (Sentence& sentence : heap_) sentences.push_back(std::move(sentence.text));
  heap_.clear();
  return sentences;
}

std::string train_vocab(std::vector<std::string> sentences, const VocabOptions& options) {
  if (sentences.empty()) fail(ErrorKind::data, "no text to train a vocabulary on");
  const bool large = sentences.size() * kMaxSentenceBytes > uint64_t{1} << 30;
  const std::unordered_map<std::string, std::string> arguments = {
      {"minloglevel", options.show_log ? "0" : "3"},
      {"model_prefix", ""},
      {"model_type", options.type == VocabType::bpe ? "bpe" : "unigram"},
      {"vocab_size", std::to_string(std::max(options.vocab_size, kSpecialPieces))},
      {"character_coverage", strprintf("%.9g", options.character_coverage)},
      {"byte_fallback", "true"},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"split_digits", "true"},
      {"max_sentence_length", std::to_string(2 * kMaxSentenceBytes)},
      {"train_extremely_large_corpus", large ? "true" : "false"},
      // A unigram model depends on how its sums are shared out to threads, so their number is part
      // of the recipe.
      {"num_threads", "16"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"pad_id", "-1"},
  };
  Sentences iterator(std::move(sentences));
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &iterator, &model);
  show_sentencepiece_log(false);
  if (!status.ok()) fail_training(status.error_message(), options);
  return model;
}

}  // namespace mythos
