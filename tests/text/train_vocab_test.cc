#include "text/vocab/train_vocab.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "sample_text.h"
#include "text/sentencepiece/sentencepiece.h"

namespace mythos {
namespace {

using test::sample_text;
using test::train_sample_model;

std::string training_error(const std::string& text, int64_t vocab_size, VocabType type,
                           ErrorKind kind) {
  TrainingText training(1 << 20);
  training.add(text);
  VocabOptions options;
  options.vocab_size = vocab_size;
  options.type = type;
  try {
    train_vocab(training.take_sentences(), options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "training worked";
  return "";
}

TEST(TrainVocab, IsDeterministic) {
  EXPECT_EQ(checksum(train_sample_model(500)), checksum(train_sample_model(500)));
  EXPECT_EQ(checksum(train_sample_model(350, VocabType::unigram)),
            checksum(train_sample_model(350, VocabType::unigram)));
}

TEST(TrainVocab, LearnsFromTheText) {
  const auto tokenizer = parse_sentencepiece(train_sample_model(600), "sample");
  const std::string text = sample_text(2000, 9);
  EXPECT_LT(tokenizer->encode(text).size() * 2, text.size()) << "at least two bytes per token";
  std::set<uint32_t> used;
  for (const uint32_t id : tokenizer->encode("a 2024")) used.insert(id);
  EXPECT_EQ(tokenizer->encode("2024").size(), 4u) << "one token per digit";
}

TEST(TrainVocab, NamesTheLargestSizeAndThatSizeWorks) {
  for (const VocabType type : {VocabType::bpe, VocabType::unigram}) {
    const std::string text = sample_text(300, 2);
    const std::string message = training_error(text, 50000, type, ErrorKind::usage);
    const size_t at = message.find("the largest size that works is ");
    ASSERT_NE(at, std::string::npos) << message;
    const auto largest = parse_int(message.substr(at + 31, message.find('.', at) - at - 31));
    ASSERT_TRUE(largest.has_value()) << message;
    TrainingText training(1 << 20);
    training.add(text);
    VocabOptions options;
    options.vocab_size = *largest;
    options.type = type;
    EXPECT_EQ(
        parse_sentencepiece(train_vocab(training.take_sentences(), options), "t")->vocab_size(),
        *largest);
  }
}

TEST(TrainVocab, NamesTheSmallestSize) {
  for (const VocabType type : {VocabType::bpe, VocabType::unigram}) {
    for (const int64_t size : {1, 2, 3, 4, 100, 259, 262}) {
      EXPECT_EQ(training_error("hello", size, type, ErrorKind::usage),
                "--vocab-size " + std::to_string(size) +
                    ": the 256 bytes, 3 special tokens and the characters of the text need at "
                    "least 263.\nUse a larger --vocab-size, or a lower --character-coverage.");
    }
  }
}

TEST(TrainVocab, RefusesEmptyText) {
  training_error("", 300, VocabType::bpe, ErrorKind::data);
  training_error("\t\xFF", 300, VocabType::bpe, ErrorKind::data);
}

TEST(TrainingText, KeepsEveryByteOfCleanText) {
  std::string text = sample_text(5000, 6) + std::string(10000, 'x') + "日本語";
  for (int i = 0; i < 3000; ++i) text += "ü";
  TrainingText training(1 << 24);
  training.add(text);
  std::string joined;
  for (const std::string& sentence : training.take_sentences()) {
    EXPECT_LE(sentence.size(), 4096u);
    joined += sentence;
  }
  EXPECT_EQ(joined, text);
  EXPECT_EQ(training.added_bytes(), text.size());
}

TEST(TrainingText, LeavesOutWhatTheTrainerRefuses) {
  TrainingText training(1 << 20);
  training.add(
      std::string("a\0b\tc▁d\u2585e\xFF"
                  "f",
                  15));
  EXPECT_EQ(join(training.take_sentences(), "|"), "a|b|c|d|e|f");
}

// Plain text is passed over eight bytes at a time: what is left out must be found at every offset.
TEST(TrainingText, FindsWhatIsRefusedAnywhere) {
  for (size_t at = 0; at < 40; ++at) {
    for (const char refused : {'\0', '\t', '\xFF'}) {
      std::string text(40, '\x01');
      text[0] = '\n';
      text[at] = refused;
      TrainingText training(1 << 20);
      training.add(text);
      std::vector<std::string> expected = {text.substr(0, at), text.substr(at + 1)};
      std::erase(expected, "");
      EXPECT_EQ(training.take_sentences(), expected) << at << " " << int{refused};
    }
  }
}

TEST(TrainingText, SamplesUniformlyAndTheSameEachTime) {
  const auto sample = [] {
    TrainingText training(40000);
    for (int i = 0; i < 10000; ++i) training.add(strprintf("%08d", i));
    EXPECT_EQ(training.added_bytes(), 80000u);
    EXPECT_EQ(training.kept_bytes(), 40000u);
    return training.take_sentences();
  };
  const std::vector<std::string> kept = sample();
  EXPECT_EQ(kept, sample());
  EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
  const auto first_half =
      std::count_if(kept.begin(), kept.end(), [](const std::string& s) { return s < "00005000"; });
  EXPECT_NEAR(static_cast<double>(first_half) / static_cast<double>(kept.size()), 0.5, 0.05);
}

}  // namespace
}  // namespace mythos
