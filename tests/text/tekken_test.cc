#include "text/tiktoken/tekken.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/strings.h"
#include "sample_text.h"
#include "scratch.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

using Json = nlohmann::json;

// The pattern of all published files.
constexpr const char* kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string base64_of_byte(int byte) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return {kLetters[static_cast<size_t>(byte >> 2)], kLetters[static_cast<size_t>(byte & 3) << 4],
          '=', '='};
}

// The 256 bytes; "th", "the", " the" and, cut off by the vocabulary's size, "they". Five special
// tokens come first.
Json small_tekken() {
  Json json = {{"config",
                {{"pattern", kPattern},
                 {"num_vocab_tokens", 260},
                 {"default_vocab_size", 264},
                 {"default_num_special_tokens", 5},
                 {"version", "v13"}}}};
  const auto add = [&](const std::string& base64) {
    json["vocab"].push_back(
        {{"rank", json["vocab"].size()}, {"token_bytes", base64}, {"token_str", nullptr}});
  };
  for (int byte = 0; byte < 256; ++byte) add(base64_of_byte(byte));
  for (const char* base64 : {"dGg=", "dGhl", "IHRoZQ==", "dGhleQ=="}) add(base64);
  json["special_tokens"] = {{{"rank", 0}, {"token_str", "<unk>"}, {"is_control", true}},
                            {{"rank", 1}, {"token_str", "<s>"}, {"is_control", true}},
                            {{"rank", 2}, {"token_str", "</s>"}, {"is_control", true}},
                            {{"rank", 3}, {"token_str", "[INST]"}, {"is_control", true}}};
  return json;
}

std::unique_ptr<Tokenizer> parse(const Json& json) {
  return parse_tekken(json.dump(), "tekken.json");
}

// The ids are those of Tekkenizer.from_file in mistral-common 1.13.1.
TEST(Tekken, IdsAreRanksBehindTheSpecialTokens) {
  const auto tokenizer = parse(small_tekken());
  EXPECT_EQ(tokenizer->encode("the they 12</s>\r\n"),
            (std::vector<uint32_t>{262, 263, 126, 37, 54, 55, 65, 52, 120, 67, 18, 15}));
  EXPECT_EQ(tokenizer->vocab_size(), 264);
  EXPECT_EQ(tokenizer->bos_id(), 1u);
  EXPECT_EQ(tokenizer->eos_id(), 2u);
  EXPECT_EQ(tokenizer->encode("a</s>[INST]", Specials::parse), (std::vector<uint32_t>{102, 2, 3}));
  EXPECT_EQ(tokenizer->piece(4), "<SPECIAL_4>");
  EXPECT_EQ(tokenizer->file_name(), "tekken.json");
}

TEST(Tekken, RoundTripsRandomBytes) {
  const auto tokenizer = parse(small_tekken());
  Rng rng(7);
  for (int i = 0; i < 300; ++i) {
    const std::string text = "the" + test::random_bytes(rng, rng.below(60)) + "[INST]";
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, Specials::parse)), text);
  }
}

// Names and ids as mistral-common has them for its file of September 2024, "NAME ID\n" each.
TEST(Tekken, FilesThatListNoSpecialTokensHaveThePublishedOnes) {
  Json json = small_tekken();
  json.erase("special_tokens");
  json["config"]["default_num_special_tokens"] = 1000;
  json["config"]["default_vocab_size"] = 1259;
  std::string names;
  for (const SpecialToken& token : parse(json)->special_tokens()) {
    names += token.name + " " + std::to_string(token.id) + "\n";
  }
  EXPECT_EQ(checksum(names), "b1bc5a7686ae1213");
  EXPECT_EQ(parse(json)->encode("the"), std::vector<uint32_t>{1257});
}

TEST(Tekken, IsLoadedAndCarriedUnderItsName) {
  const Scratch scratch;
  write_file_atomic(scratch / "any.json", small_tekken().dump());
  const auto tokenizer = load_tokenizer({(scratch / "any.json").string(), "", "[INST]"});
  EXPECT_EQ(tokenizer->eos_id(), 3u);
  EXPECT_EQ(tokenizer->file_name(), "tekken.eos-3.json");
  fs::create_directory(scratch / "carried");
  write_file_atomic(scratch / "carried/tekken.eos-3.json", tokenizer->file_content());
  const auto carried = load_carried_tokenizer(scratch / "carried");
  EXPECT_EQ(carried->fingerprint(), tokenizer->fingerprint());
  EXPECT_EQ(carried->eos_id(), 3u);
}

TEST(Tekken, RefusesWhatContradictsItself) {
  const struct {
    const char* pointer;
    Json value;
    const char* message;
  } cases[] = {
      {"/config/default_vocab_size", 266, "config.default_vocab_size: 266 needs 5 special tokens"},
      {"/config/default_vocab_size", 5, "config.default_vocab_size: 5 needs 5 special tokens"},
      {"/config/default_vocab_size", nullptr, "config.default_vocab_size: expected a token id"},
      {"/config/default_vocab_size", 200, "vocab: the byte 0xC3 has no rank"},
      {"/config/pattern", "(a", "config.pattern: "},
      {"/config/pattern", 1, "config.pattern: expected a string"},
      {"/vocab", Json::object(), "vocab: expected an array"},
      {"/vocab/7/rank", 8, "vocab[7].rank: expected 7, found 8"},
      {"/vocab/7/token_bytes", "?", "vocab[7].token_bytes: \"?\" is not base64"},
      {"/vocab/7/token_bytes", "AA==", "vocab[7].token_bytes: the token has another rank too"},
      {"/vocab/7", 1, "vocab[7].rank: expected a token id"},
      {"/special_tokens/3/rank", 5, "special_tokens[3].rank: 5 is not below"},
      {"/special_tokens/3/rank", 2, "special_tokens[3].rank: 2 comes a second time"},
      {"/special_tokens/3/token_str", "<s>", "special_tokens: two special tokens are named '<s>'"},
      {"/special_tokens/3/token_str", "", "special_tokens[3].token_str: the name is empty"},
  };
  for (const auto& wanted : cases) {
    Json json = small_tekken();
    json[Json::json_pointer(wanted.pointer)] = wanted.value;
    const std::string error = error_of(ErrorKind::data, [&] { parse(json); });
    EXPECT_TRUE(contains(error, std::string("tekken.json: ") + wanted.message)) << error;
  }
}

// Damage must give an error or a tokenizer, never a crash.
TEST(Tekken, SurvivesDamage) {
  const std::string whole = small_tekken().dump();
  Rng rng(32);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = whole;
    damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    if (i % 5 == 0) damaged.resize(rng.below(damaged.size()));
    try {
      parse_tekken(damaged, "t")->encode("they\n</s>", Specials::parse);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
    }
  }
}

}  // namespace
}  // namespace mythos
