#include "text/vocab/evaluate_vocab.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace mythos {
namespace {

// A token for each byte, and three longer ones; "~" is lost.
class ToyTokenizer : public Tokenizer {
 public:
  ToyTokenizer() : Tokenizer("toy", "toy") {
    for (int byte = 0; byte < 256; ++byte) tokens_.emplace_back(1, static_cast<char>(byte));
    for (const char* longer : {" the", "日本", "é"}) tokens_.emplace_back(longer);
    tokens_['~'] = "";
  }
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials) const override {
    while (!text.empty()) {
      uint32_t id = static_cast<unsigned char>(text[0]);
      for (uint32_t longer = 256; longer < tokens_.size(); ++longer) {
        if (text.starts_with(tokens_[longer])) id = longer;
      }
      ids.push_back(id);
      text.remove_prefix(id < 256 ? 1 : tokens_[id].size());
    }
  }
  std::string_view token_bytes(uint32_t id) const override { return tokens_.at(id); }
  std::string piece(uint32_t id) const override { return id == 'x' ? "<0x78>" : tokens_.at(id); }
  std::vector<SpecialToken> special_tokens() const override { return {}; }

 private:
  std::vector<std::string> tokens_;
};

struct Evaluated {
  TextFacts text;
  TokenizerFacts toy;
};

Evaluated evaluate(const std::vector<std::string>& documents) {
  const ToyTokenizer toy;
  VocabEvaluation evaluation({&toy}, {"toy"});
  for (const std::string& document : documents) evaluation.add(document);
  return {evaluation.text(), evaluation.tokenizers()[0]};
}

uint64_t characters(const Evaluated& result, Script script) {
  return result.text.characters[static_cast<size_t>(script)];
}

double tokens(const Evaluated& result, Script script) {
  return result.toy.script_tokens[static_cast<size_t>(script)];
}

TEST(EvaluateVocab, CountsDocumentsWordsAndCharacters) {
  const Evaluated result = evaluate({"in the  sea\n", "", "  é日本\u3000日\xFF 7!"});
  EXPECT_EQ(result.text.documents, 3u);
  EXPECT_EQ(result.text.words, 6u);
  EXPECT_EQ(characters(result, Script::latin), 9u);
  EXPECT_EQ(characters(result, Script::han), 3u);
  EXPECT_EQ(characters(result, Script::digits), 1u);
  EXPECT_EQ(characters(result, Script::punctuation), 1u);
  EXPECT_EQ(characters(result, Script::whitespace), 8u);
  EXPECT_EQ(characters(result, Script::invalid), 1u);
  EXPECT_EQ(result.text.total_characters(), 23u);
}

TEST(EvaluateVocab, SharesTokensByScript) {
  const Evaluated result = evaluate({"a the  日本 日é"});
  EXPECT_EQ(result.toy.tokens, 10u);
  EXPECT_DOUBLE_EQ(tokens(result, Script::latin), 3) << "a, _the and é";
  EXPECT_DOUBLE_EQ(tokens(result, Script::han), 4) << "one of two characters, three of one";
  EXPECT_DOUBLE_EQ(tokens(result, Script::whitespace), 3);
  EXPECT_EQ(result.toy.byte_tokens, 3u);
  EXPECT_EQ(result.toy.used_ids, 8u);
}

TEST(EvaluateVocab, BytePiecesCount) {
  EXPECT_EQ(evaluate({"xyx"}).toy.byte_tokens, 2u);
}

TEST(EvaluateVocab, TellsTheFirstByteThatDiffers) {
  EXPECT_EQ(evaluate({"ok", "\xFF\xC3 fine"}).toy.wrong_documents, 0u);
  const Evaluated result = evaluate({"ok", "lost: ~", "~"});
  EXPECT_EQ(result.toy.wrong_documents, 2u);
  EXPECT_EQ(result.toy.first_fault.document, 2u);
  EXPECT_EQ(result.toy.first_fault.byte, 6u);
  EXPECT_NE(evaluation_table(result.text, {result.toy}).find("document 2, byte 6"),
            std::string::npos);
}

TEST(EvaluateVocab, Json) {
  const Evaluated result = evaluate({"the the 7"});
  const auto json = evaluation_json(result.text, {result.toy});
  EXPECT_EQ(json["schema"], "mythos.vocab-evaluate/1");
  EXPECT_EQ(json["words"], 3);
  EXPECT_EQ(json["scripts"]["Latin"], 6);
  const auto& toy = json["tokenizers"][0];
  EXPECT_EQ(toy["tokens"], 6);
  EXPECT_EQ(toy["tokens_per_word"], 2.0);
  EXPECT_EQ(toy["bytes_per_token"], 1.5);
  EXPECT_EQ(toy["unused_ids"], 253);
  EXPECT_EQ(toy["round_trip"], true);
  EXPECT_EQ(toy["tokens_per_character"]["Latin"], 4.0 / 6);
}

TEST(EvaluateVocab, TableLeavesOutRareScripts) {
  const Evaluated result = evaluate({std::string(5000, 'a') + "日"});
  EXPECT_EQ(evaluation_table(result.text, {result.toy}).find("Han"), std::string::npos);
  EXPECT_NE(evaluation_table(result.text, {result.toy}, 0).find("Han"), std::string::npos);
}

TEST(Scripts, OneOfEach) {
  const std::pair<std::string_view, Script> samples[] = {{"a", Script::latin},
                                                         {"ß", Script::latin},
                                                         {"ệ", Script::latin},
                                                         {"λ", Script::greek},
                                                         {"ἀ", Script::greek},
                                                         {"ж", Script::cyrillic},
                                                         {"ש", Script::hebrew},
                                                         {"ع", Script::arabic},
                                                         {"ﻻ", Script::arabic},
                                                         {"ह", Script::devanagari},
                                                         {"த", Script::indic},
                                                         {"ก", Script::thai},
                                                         {"語", Script::han},
                                                         {"𠀀", Script::han},
                                                         {"々", Script::han},
                                                         {"ひ", Script::kana},
                                                         {"カ", Script::kana},
                                                         {"ｶ", Script::kana},
                                                         {"한", Script::hangul},
                                                         {"ㄱ", Script::hangul},
                                                         {"7", Script::digits},
                                                         {"٣", Script::digits},
                                                         {"३", Script::digits},
                                                         {"７", Script::digits},
                                                         {"!", Script::punctuation},
                                                         {"×", Script::punctuation},
                                                         {"。", Script::punctuation},
                                                         {"€", Script::punctuation},
                                                         {"→", Script::punctuation},
                                                         {"🙂", Script::emoji},
                                                         {"☃", Script::emoji},
                                                         {"\n", Script::whitespace},
                                                         {"\u00A0", Script::whitespace},
                                                         {"\u3000", Script::whitespace},
                                                         {"\u0301", Script::other},
                                                         {"\x01", Script::other},
                                                         {"ა", Script::other},
                                                         {"\U0010FFFF", Script::other}};
  for (const auto& [text, script] : samples) {
    const int length = utf8_sequence(text);
    EXPECT_EQ(script_name(script_of(utf8_code_point(text, length))), script_name(script)) << text;
  }
}

}  // namespace
}  // namespace mythos
