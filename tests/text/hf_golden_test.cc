#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "scratch.h"
#include "text/hf/hf_tokenizer.h"

namespace mythos {
namespace {

using Ids = std::vector<uint32_t>;

// What data/make_hf_goldens.py wrote down of Hugging Face's tokenizers.
const nlohmann::json& golden() {
  static const auto json = nlohmann::json::parse(
      read_file(fs::path(MYTHOS_SOURCE_DIR) / "tests/text/data/hf_golden.json"));
  return json;
}

class HfGolden : public testing::TestWithParam<size_t> {
 protected:
  const nlohmann::json& wanted_ = golden()["cases"].at(GetParam());
  const nlohmann::json& texts_ = golden()["texts"];
  std::unique_ptr<Tokenizer> tokenizer_ = make();

  // The library's Unigram finds special tokens in text that is to stay text; ours does not.
  bool takes_names_for_tokens(const std::string& text) const {
    return wanted_["base"] == "unigram" && (contains(text, "</s>") || contains(text, "<unk>"));
  }
  std::unique_ptr<Tokenizer> make() const {
    nlohmann::json json = golden()["bases"].at(wanted_["base"].get<std::string>());
    json.update(wanted_["changes"]);
    return parse_hf_tokenizer(json.dump(), "tok.json");
  }
};

std::string name_of(const testing::TestParamInfo<size_t>& info) {
  const nlohmann::json& wanted = golden()["cases"].at(info.param);
  return wanted["base"].get<std::string>() + "_" + wanted["name"].get<std::string>();
}
INSTANTIATE_TEST_SUITE_P(Text, HfGolden, testing::Range(size_t{0}, golden()["cases"].size()),
                         name_of);

TEST_P(HfGolden, GivesTheIds) {
  const nlohmann::json& parsed = wanted_.value("ids_special", wanted_["ids"]);
  for (size_t i = 0; i < texts_.size(); ++i) {
    const std::string text = texts_[i];
    if (!takes_names_for_tokens(text)) {
      EXPECT_EQ(tokenizer_->encode(text), wanted_["ids"][i].get<Ids>())
          << testing::PrintToString(text);
    }
    EXPECT_EQ(tokenizer_->encode(text, Specials::parse), parsed[i].get<Ids>())
        << testing::PrintToString(text);
  }
}

TEST_P(HfGolden, GivesTheText) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    const std::string text = wanted_["decoded"][i];
    // The library shows bytes that are no UTF-8 as U+FFFD.
    if (text.find("\uFFFD") != text.npos) continue;
    EXPECT_EQ(tokenizer_->decode(wanted_["ids"][i].get<Ids>()), text);
  }
}

// A long document is normalised and cut in parts.
TEST_P(HfGolden, GivesTheIdsOfALongText) {
  std::string repeated = " and the rest", document = "the king";
  for (const auto& text : texts_) repeated += text.get<std::string>() + " of it";
  for (int i = 0; i < 60; ++i) document += repeated;
  const Ids ids = tokenizer_->encode(document, Specials::parse);
  uint32_t sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) sum += ids[i] * static_cast<uint32_t>(i + 1);
  EXPECT_EQ(ids.size(), wanted_["long"]["ids"]);
  EXPECT_EQ(sum, wanted_["long"]["sum"]);
}

}  // namespace
}  // namespace mythos
