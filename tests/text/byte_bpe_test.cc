#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/rng.h"
#include "base/strings.h"
#include "sample_text.h"
#include "scratch.h"
#include "text/load_tokenizer.h"
#include "text/pieces/byte_alphabet.h"
#include "text/stages/added_tokens.h"
#include "text/tiktoken/tiktoken.h"

namespace mythos {
namespace {

using test::random_bytes;

const fs::path kData = fs::path(MYTHOS_SOURCE_DIR) / "tests/text/data";

const nlohmann::json& golden() {
  static const auto json = nlohmann::json::parse(read_file(kData / "bpe_golden.json"));
  return json;
}

// Tokenizers that give back every byte.
constexpr const char* kExact[] = {
    "bytelevel.tokenizer.json", "llama3.tokenizer.json",      "digits.tokenizer.json",
    "string.tokenizer.json",    "whole.tokenizer.json",       "removed.tokenizer.json",
    "small.tiktoken:r50k_base", "small.tiktoken:cl100k_base", "small.tiktoken:o200k_base"};

std::unique_ptr<Tokenizer> load(const std::string& file) {
  return load_tokenizer(kData / file);
}

// What data/make_bpe_goldens.py wrote down of the original libraries.
class Originals : public testing::TestWithParam<size_t> {};

TEST_P(Originals, GiveTheSameIds) {
  const nlohmann::json& wanted = golden()["tokenizers"].at(GetParam());
  const auto tokenizer = load(wanted["file"]);
  const nlohmann::json& texts = golden()["texts"];
  const nlohmann::json& parsed = wanted.value("ids_special", wanted["ids"]);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    EXPECT_EQ(tokenizer->encode(text), wanted["ids"][i].get<std::vector<uint32_t>>())
        << testing::PrintToString(text);
    EXPECT_EQ(tokenizer->encode(text, Specials::parse), parsed[i].get<std::vector<uint32_t>>())
        << testing::PrintToString(text);
  }
}

std::string name_of(const testing::TestParamInfo<size_t>& info) {
  std::string name = golden()["tokenizers"].at(info.param)["file"];
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(ByteBpe, Originals,
                         testing::Range(size_t{0}, golden()["tokenizers"].size()), name_of);

class Exact : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Tokenizer> tokenizer_ = load(GetParam());
};
INSTANTIATE_TEST_SUITE_P(ByteBpe, Exact, testing::ValuesIn(kExact));

TEST_P(Exact, RoundTripsRandomBytes) {
  Rng rng(21);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_bytes(rng, rng.below(60)) + "<|endoftext|>";
    ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text) << testing::PrintToString(text);
    ASSERT_EQ(tokenizer_->decode(tokenizer_->encode(text, Specials::parse)), text);
  }
}

TEST_P(Exact, EncodesRunsOfOtherBytesByThemselves) {
  std::vector<uint32_t> expected;
  for (const std::string run : {"the king", "\xFF\xC3", "of men", "\xE2\x96", "é"}) {
    tokenizer_->encode(run, expected, Specials::as_text);
  }
  EXPECT_EQ(tokenizer_->encode("the king\xFF\xC3of men\xE2\x96é"), expected);
}

// A heap merges long pieces, a scan short ones; parts of a long text are cut where pieces end.
TEST_P(Exact, LongTextGivesTheIdsOfItsWords) {
  Rng rng(22);
  std::string text;
  std::vector<uint32_t> expected;
  for (int i = 0; i < 40000; ++i) {
    std::string word = rng.below(9) ? " king" : " " + std::string(1 + rng.below(70), 'a');
    if (i == 0) word = "The";
    if (rng.below(50) == 0) word += ".";
    text += word;
    tokenizer_->encode(word, expected, Specials::as_text);
  }
  if (std::string(GetParam()) == "whole.tokenizer.json") return;  // its pieces are documents
  EXPECT_EQ(tokenizer_->encode(text), expected);
}

TEST(ByteBpe, MergesTheLowestRankFirstAndFromTheLeft) {
  // Ranks behind the bytes: "aa", "ab", "aaa".
  std::string file;
  const auto line = [&](std::string_view base64, int rank) {
    file += std::string(base64) + " " + std::to_string(rank) + "\n";
  };
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int b = 0; b < 256; ++b) {
    const char two[] = {letters[static_cast<size_t>(b >> 2)],
                        letters[static_cast<size_t>(b & 3) << 4]};
    line(std::string(two, 2) + "==", b);
  }
  line("YWE=", 256);
  line("YWI=", 257);
  line("YWFh", 258);
  const auto tokenizer = parse_tiktoken(file, "t", "r50k_base");
  const auto ids = [&](const std::string& text) { return tokenizer->encode(text); };
  EXPECT_EQ(ids("aaaa"), (std::vector<uint32_t>{256, 256}));
  EXPECT_EQ(ids("aaab"), (std::vector<uint32_t>{256, 257}));
  EXPECT_EQ(ids("aaa"), (std::vector<uint32_t>{258})) << "a whole piece";
  EXPECT_EQ(ids("aab"), (std::vector<uint32_t>{256, 'b'}));
  // A heap merges long runs alike: "aa" everywhere; in an odd run the last takes what remains.
  std::vector<uint32_t> expected(150, 256);
  EXPECT_EQ(ids(std::string(300, 'a')), expected);
  expected.back() = 258;
  EXPECT_EQ(ids(std::string(301, 'a')), expected);
  EXPECT_EQ(tokenizer->eos_id(), 259u);
  EXPECT_EQ(tokenizer->vocab_size(), 260);
}

// The definition, for a piece of letters.
std::vector<uint32_t> merge_plainly(const Tokenizer& tokenizer, const std::string& piece) {
  std::map<std::string, uint32_t> ranks;
  for (uint32_t id = 0; id < tokenizer.eos_id(); ++id) {
    ranks[std::string(tokenizer.token_bytes(id))] = id;
  }
  if (ranks.contains(piece)) return {ranks[piece]};
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  for (;;) {
    uint32_t lowest = UINT32_MAX;
    size_t at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + parts[i + 1]);
      if (found == ranks.end() || found->second >= lowest) continue;
      lowest = found->second;
      at = i;
    }
    if (lowest == UINT32_MAX) break;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
  std::vector<uint32_t> ids;
  for (const std::string& part : parts) ids.push_back(ranks[part]);
  return ids;
}

TEST(ByteBpe, MergesAsDefined) {
  const auto tokenizer = load("small.tiktoken:r50k_base");
  Rng rng(24);
  for (int i = 0; i < 300; ++i) {
    std::string piece;
    const size_t tokens = 1 + rng.below(i % 3 == 0 ? 60 : 6);
    while (piece.size() < tokens * 2) {
      for (const char c : tokenizer->token_bytes(static_cast<uint32_t>(rng.below(480)))) {
        if (std::isalpha(static_cast<unsigned char>(c))) piece += c;
      }
    }
    ASSERT_EQ(tokenizer->encode(piece), merge_plainly(*tokenizer, piece)) << piece;
  }
}

TEST(ByteBpe, ThreadsMayShareATokenizer) {
  const auto first = load("bytelevel.tokenizer.json"), second = load("small.tiktoken:o200k_base");
  const std::string text = test::sample_text(3000, 9);
  const auto expected = first->encode(text), expected_second = second->encode(text);
  const auto fresh = load("bytelevel.tokenizer.json");  // nothing is known of its tokens yet
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        wrong += fresh->encode(text) != expected;
        wrong += second->encode(text) != expected_second;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ByteBpe, DescribesItsTokens) {
  const auto hf = load("llama3.tokenizer.json");
  EXPECT_EQ(hf->vocab_size(), 482);
  EXPECT_EQ(hf->bos_id(), 480u);
  EXPECT_EQ(hf->eos_id(), 481u);
  EXPECT_EQ(hf->piece(480), "<|begin_of_text|>");
  EXPECT_EQ(hf->token_bytes(480), "");
  const auto space_t = hf->encode(" t");
  EXPECT_EQ(hf->piece(space_t[0]), "Ġt");
  EXPECT_EQ(hf->token_bytes(space_t[0]), " t");
  EXPECT_EQ(hf->special_tokens().size(), 2u);
  EXPECT_EQ(error_of(ErrorKind::data, [&] { hf->token_bytes(482); }),
            "token id 482 is outside the vocabulary of 482");
  const auto added = load("qwen2.tokenizer.json");
  EXPECT_EQ(added->token_bytes(added->encode("<tool_call>").at(0)), "<tool_call>")
      << "an added token that is not special is text";
  EXPECT_FALSE(added->eos_id());
  const auto prefix = load("prefix.tokenizer.json");
  EXPECT_EQ(prefix->piece(*prefix->bos_id()), "<s>");
  EXPECT_EQ(prefix->piece(*prefix->eos_id()), "</s>");
  const auto ranks = load("small.tiktoken:o200k_base");
  EXPECT_EQ(ranks->piece(*ranks->eos_id()), "<|endoftext|>");
  EXPECT_EQ(ranks->piece(ranks->encode("\n").at(0)), "\\n");
}

TEST(ByteBpe, PutsAPrefixSpaceOnlyWhereTextBegins) {
  const auto tokenizer = load("prefix.tokenizer.json");
  const auto back = [&](const std::string& text) {
    return tokenizer->decode(tokenizer->encode(text, Specials::parse));
  };
  EXPECT_EQ(back("ab\xFF"
                 "cd"),
            " ab\xFF"
            "cd");
  EXPECT_EQ(back("ab<s>cd"), " ab<s> cd") << "as tokenizers does it";
  EXPECT_EQ(back(" ab"), " ab");
}

TEST(AddedTokens, ASpecialNameHidesTheNamesInIt) {
  AddedTokens tokens;
  tokens.add({.name = "<abc>", .id = 1});
  tokens.add({.name = "abc", .id = 2, .special = false});
  tokens.add({.name = "abcd", .id = 3, .special = false});
  const auto ids = [&](std::string_view text, Specials specials) {
    std::string out;
    for (const auto& section : tokens.cut(text, specials)) {
      out += section.id ? std::to_string(*section.id) : std::string(section.text);
      out += '|';
    }
    return out;
  };
  EXPECT_EQ(ids("x<abc>abc<abcd>", Specials::as_text), "x<abc>|2|<|3|>|");
  EXPECT_EQ(ids("x<abc>abc<abcd>", Specials::parse), "x|1|2|<|3|>|");
  EXPECT_EQ(ids("", Specials::parse), "");
}

TEST(ByteBpe, StreamsTheTextOfTokens) {
  const auto tokenizer = load("small.tiktoken:o200k_base");
  Rng rng(23);
  for (int i = 0; i < 100; ++i) {
    const std::string text = random_bytes(rng, 30);
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const uint32_t id : tokenizer->encode(text)) streamed += decoder.push(id);
    EXPECT_EQ(streamed + decoder.finish(), text);
  }
}

TEST(ByteBpe, ByteLettersAreThoseOfGpt2) {
  EXPECT_EQ(to_byte_letters(" a\n\x7F\xAD\xFF"), "ĠaĊġŃÿ");
  std::string all;
  for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
  EXPECT_EQ(from_byte_letters(to_byte_letters(all)), all);
  EXPECT_FALSE(from_byte_letters("a b"));
  EXPECT_FALSE(from_byte_letters("▁a"));
}

}  // namespace
}  // namespace mythos
