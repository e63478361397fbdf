#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "scratch.h"
#include "text/chat/chat.h"
#include "text/chat/chat_template.h"
#include "text/hf/hf_tokenizer.h"

namespace mythos {
namespace {

using Ids = std::vector<uint32_t>;
using nlohmann::json;

// What data/make_published_goldens.py wrote down of Hugging Face's tokenizers and of Jinja.
const json& published() {
  static const json golden =
      json::parse(read_file(fs::path(MYTHOS_SOURCE_DIR) / "tests/text/data/published_golden.json"));
  return golden;
}

std::unique_ptr<Tokenizer> tokenizer_named(const std::string& name) {
  return parse_hf_tokenizer(published()["tokenizers"].at(name).dump(), name);
}

class PublishedTokenizer : public testing::TestWithParam<std::string> {
 protected:
  const json& texts_ = published()["texts"];
  const json& wanted_ = published()["encodings"].at(GetParam());
  std::unique_ptr<Tokenizer> tokenizer_ = tokenizer_named(GetParam());

  // The library's Unigram finds special tokens in text that is to stay text; ours does not.
  bool takes_names_for_tokens(const std::string& text) const {
    return GetParam() == "unigram" &&
           (contains(text, "</s>") || contains(text, "<s>") || contains(text, "<|im_"));
  }
};

INSTANTIATE_TEST_SUITE_P(Text, PublishedTokenizer,
                         testing::Values("smollm2", "parcae", "llama3", "qwen2", "huginn",
                                         "sentence_pieces", "unigram"),
                         [](const testing::TestParamInfo<std::string>& info) {
                           return info.param;
                         });

TEST_P(PublishedTokenizer, GivesTheIds) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    const std::string text = texts_[i];
    if (!takes_names_for_tokens(text)) {
      EXPECT_EQ(tokenizer_->encode(text), wanted_["ids"][i].get<Ids>())
          << testing::PrintToString(text);
    }
    EXPECT_EQ(tokenizer_->encode(text, Specials::parse), wanted_["ids_special"][i].get<Ids>())
        << testing::PrintToString(text);
  }
}

TEST_P(PublishedTokenizer, GivesTheText) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    const std::string text = wanted_["decoded"][i];
    // The library shows bytes that are no UTF-8 as U+FFFD.
    if (text.find("\uFFFD") != text.npos) continue;
    EXPECT_EQ(tokenizer_->decode(wanted_["ids"][i].get<Ids>()), text);
  }
}

class PublishedTemplate : public testing::TestWithParam<size_t> {
 protected:
  const json& wanted_ = published()["templates"].at(GetParam());
  std::unique_ptr<Tokenizer> tokenizer_ = tokenizer_named(wanted_["tokenizer"].get<std::string>());
};

std::string template_name(const testing::TestParamInfo<size_t>& info) {
  return published()["templates"][info.param]["name"].get<std::string>();
}
INSTANTIATE_TEST_SUITE_P(Chat, PublishedTemplate,
                         testing::Range(size_t{0}, published()["templates"].size()), template_name);

// BOS of the tokenizers that have one: the first token that was added.
uint32_t first_added(const std::string& tokenizer) {
  return published()["tokenizers"].at(tokenizer)["added_tokens"][0]["id"];
}

TEST_P(PublishedTemplate, IsRenderedAndEncodedAsByTransformers) {
  const ChatFormat format = recognised_chat_format(wanted_["template"].get<std::string>(),
                                                   wanted_["name"].get<std::string>());
  if (format.bos) {
    tokenizer_->choose_boundaries(first_added(wanted_["tokenizer"].get<std::string>()),
                                  std::nullopt);
  }
  const Chat chat(*tokenizer_, format, format.bos);
  const json& conversations = published()["conversations"];
  for (size_t i = 0; i < conversations.size(); ++i) {
    std::vector<ChatMessage> messages;
    ASSERT_EQ(read_messages(conversations[i], messages), "");
    std::string text = chat.prompt_text(messages);
    if (format.bos) text = tokenizer_->piece(*tokenizer_->bos_id()) + text;
    EXPECT_EQ(text, wanted_["rendered"][i].get<std::string>());
    EXPECT_EQ(chat.prompt_ids(messages), wanted_["ids"][i].get<Ids>());
  }
}

}  // namespace
}  // namespace mythos
