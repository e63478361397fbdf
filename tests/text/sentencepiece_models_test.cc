// Models that others train: any kind, normalizer and way of adding spaces, compared with the
// library.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "sample_text.h"
#include "text/library_ids.h"
#include "text/sentencepiece/sentencepiece.h"

namespace mythos {
namespace {

class Lines : public sentencepiece::SentenceIterator {
 public:
  bool done() const override { return next_ == 400; }
  void Next() override { line_ = test::sample_text(12, ++next_); }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  size_t next_ = 0;
  std::string line_ = test::sample_text(12, 0);
};

// Folds, drops and lengthens characters: A to a, é to "e" and an accent, U+FF0A to two spaces,
// U+0001 to nothing, U+00A0 to a space, "ab" to "ri".
const std::string& rules_file() {
  static const std::string path = [] {
    std::string name = (fs::temp_directory_path() / "mythos-rules-XXXXXX").string();
    const int file = mkstemp(name.data());
    const std::string rules = "41\t61\nE9\t65 301\nFF0A\t20 20\n1\t\nA0\t20\n61 62\t72 69\n";
    EXPECT_EQ(write(file, rules.data(), rules.size()), static_cast<ssize_t>(rules.size()));
    close(file);
    return name;
  }();
  return path;
}

std::string train(const std::string& options) {
  Lines lines;
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      "--minloglevel=3 --model_prefix= --hard_vocab_limit=false --vocab_size=330 "
      "--normalization_rule_name=identity " +
          options,
      &lines, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

std::string random_text(Rng& rng, size_t pieces) {
  static const std::string kPieces[] = {"a",        "ab",
                                        "kato",     " ",
                                        "  ",       "men ",
                                        "\n",       "\u2581",
                                        "é",        "A",
                                        "\uff0a",   "\u00a0",
                                        "\x01",     "\ua66e",
                                        "🙂",     "<sep>",
                                        "<s>",      "\t",
                                        "\u200b",   "\ufffd",
                                        "ri sol",   "日本",
                                        "\xFF",     "\xE2\x96",
                                        "the king", std::string(1, '\0')};
  std::string text;
  for (size_t i = 0; i < pieces; ++i) text += kPieces[rng.below(std::size(kPieces))];
  return text;
}

struct Case {
  const char* name;
  std::string options;
};

std::vector<Case> cases() {
  const std::string all = "--normalization_rule_tsv=" + rules_file() + " ";
  const std::string none = "--normalization_rule_name=identity ";
  const std::string symbols = "--user_defined_symbols=<sep>,\u2581\u2581,ka\u2581 ";
  return {{"bpe", "--model_type=bpe " + all},
          {"bpe_bytes", "--model_type=bpe --byte_fallback " + all},
          {"bpe_spaces_kept", "--model_type=bpe --remove_extra_whitespaces=false " + none},
          {"bpe_identity", "--model_type=bpe --byte_fallback " + none},
          {"bpe_suffix", "--model_type=bpe --treat_whitespace_as_suffix " + all},
          {"bpe_symbols", "--model_type=bpe " + symbols + all},
          {"bpe_no_prefix", "--model_type=bpe --add_dummy_prefix=false " + all},
          {"bpe_whole_lines", "--model_type=bpe --split_by_whitespace=false " + all},
          {"unigram", "--model_type=unigram " + all},
          {"unigram_bytes", "--model_type=unigram --byte_fallback " + all},
          {"unigram_spaces_kept", "--model_type=unigram --remove_extra_whitespaces=false " + none},
          {"unigram_symbols", "--model_type=unigram --byte_fallback " + symbols + all},
          {"unigram_suffix", "--model_type=unigram --treat_whitespace_as_suffix " + none},
          {"char", "--model_type=char " + all},
          {"char_symbols", "--model_type=char " + symbols + none},
          {"word", "--model_type=word " + none},
          {"word_bytes", "--model_type=word --byte_fallback " + all}};
}

class Models : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(SentencePiece, Models, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(Models, GiveTheLibrarysIds) {
  const std::string model = train(GetParam().options);
  const auto tokenizer = parse_sentencepiece(model, "test.model");
  Rng rng(21);
  for (int i = 0; i < 150; ++i) {
    const std::string text = random_text(rng, rng.below(30));
    ASSERT_EQ(tokenizer->encode(text), library_ids(model, text)) << testing::PrintToString(text);
  }
}

// Texts that are cut into parts: no cut may show.
TEST_P(Models, GiveTheLibrarysIdsOfLongText) {
  const std::string model = train(GetParam().options);
  const auto tokenizer = parse_sentencepiece(model, "test.model");
  Rng rng(22);
  const std::string sample = test::sample_text(8000, 7);
  std::vector<std::string> texts = {
      sample, random_text(rng, 15000),
      sample + std::string(40000, ' ') + "kato" + std::string(40000, ' ')};
  for (const std::string_view repeated : {"a", " ", "\ua66e", "\u2581", "\ua66e ", "é", "ab"}) {
    std::string text;
    while (text.size() < 40000) text += repeated;
    texts.push_back(text);
    texts.push_back(sample + text + sample);
  }
  for (const std::string& text : texts) {
    EXPECT_EQ(tokenizer->encode(text), library_ids(model, text)) << text.substr(0, 20);
  }
}

// What took 10 s for 400,000 characters, with the length squared, is done at once.
TEST(SentencePieceModels, ARunOfUnknownCharactersIsOneToken) {
  const auto tokenizer = parse_sentencepiece(train("--model_type=bpe"), "test.model");
  std::string text;
  for (int i = 0; i < 1'000'000; ++i) text += "\ua66e";
  std::vector<uint32_t> expected = tokenizer->encode("\ua66e");
  EXPECT_EQ(tokenizer->encode(text), expected);
}

// The library refuses such a text.
TEST(SentencePieceModels, TextNeverGivesAControlPiece) {
  const auto tokenizer =
      parse_sentencepiece(train("--model_type=char --control_symbols=q"), "test.model");
  const std::vector<uint32_t> ids = tokenizer->encode("q");
  EXPECT_EQ(ids.back(), 0u);
}

TEST(SentencePieceModels, ADamagedCharacterMapIsRefused) {
  std::string model = train("--model_type=bpe");
  // NormalizerSpec with a map whose trie would be longer than the map.
  model += std::string("\x1a\x08\x12\x06\x00\x04\x00\x00xx", 10);
  try {
    parse_sentencepiece(model, "test.model");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_STREQ(error.what(), "test.model: the character map of its normalizer is damaged");
  }
}

}  // namespace
}  // namespace mythos
