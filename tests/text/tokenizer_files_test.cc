#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/strings.h"
#include "scratch.h"
#include "text/hf/hf_tokenizer.h"
#include "text/tiktoken/tiktoken.h"

namespace mythos {
namespace {

using Json = nlohmann::json;

const fs::path kData = fs::path(MYTHOS_SOURCE_DIR) / "tests/text/data";

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? kLetters[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string word(size_t i) {
  std::string letters = "word";
  for (; i > 0; i /= 26) letters += static_cast<char>('a' + i % 26);
  return letters;
}

// A rank file of so many ranks: the bytes, then made-up words. `gap` is left out of the ranks.
std::string rank_file(size_t ranks, size_t gap = SIZE_MAX) {
  std::string file;
  for (size_t i = 0; i < ranks; ++i) {
    const std::string token = i < 256 ? std::string(1, static_cast<char>(i)) : word(i);
    file += base64(token) + " " + std::to_string(i + (i >= gap)) + "\n";
  }
  return file;
}

std::string tiktoken_error(const std::string& file, ErrorKind kind = ErrorKind::data,
                           const std::string& encoding = "r50k_base") {
  return error_of(kind, [&] { parse_tiktoken(file, "t.tiktoken", encoding); });
}

TEST(Tiktoken, TheNumberOfRanksTellsTheEncoding) {
  const struct {
    size_t ranks, gap;
    const char* encoding;
    int64_t vocab_size;
    uint32_t eos;
    const char* file_name;
  } cases[] = {
      {50256, SIZE_MAX, "", 50257, 50256, "tokenizer.tiktoken"},
      {50280, 50256, "", 50281, 50256, "tokenizer.tiktoken"},
      {50280, 50256, "p50k_base", 50281, 50256, "tokenizer.tiktoken"},
      {50280, 50256, "p50k_edit", 50284, 50256, "tokenizer.p50k_edit.tiktoken"},
      {100256, SIZE_MAX, "", 100277, 100257, "tokenizer.tiktoken"},
      {199998, SIZE_MAX, "", 201088, 199999, "tokenizer.tiktoken"},
      {199998, SIZE_MAX, "o200k_base", 200019, 199999, "tokenizer.o200k_base.tiktoken"},
      {300, SIZE_MAX, "cl100k_base", 301, 300, "tokenizer.cl100k_base.tiktoken"},
  };
  for (const auto& wanted : cases) {
    const auto tokenizer =
        parse_tiktoken(rank_file(wanted.ranks, wanted.gap), "t.tiktoken", wanted.encoding);
    EXPECT_EQ(tokenizer->vocab_size(), wanted.vocab_size);
    EXPECT_EQ(tokenizer->eos_id(), wanted.eos);
    EXPECT_EQ(tokenizer->file_name(), wanted.file_name);
    EXPECT_EQ(tokenizer->encode("<|endoftext|>", Specials::parse),
              std::vector<uint32_t>{wanted.eos});
    EXPECT_EQ(tokenizer->encode(word(299)), std::vector<uint32_t>{299});
  }
}

TEST(Tiktoken, HarmonyHasTheSpecialTokensOfGptOss) {
  const auto tokenizer = parse_tiktoken(rank_file(199998), "t.tiktoken", "");
  const std::pair<const char*, uint32_t> names[] = {
      {"<|startoftext|>", 199998}, {"<|endoftext|>", 199999},       {"<|reserved_200000|>", 200000},
      {"<|return|>", 200002},      {"<|constrain|>", 200003},       {"<|reserved_200004|>", 200004},
      {"<|channel|>", 200005},     {"<|start|>", 200006},           {"<|end|>", 200007},
      {"<|message|>", 200008},     {"<|reserved_200011|>", 200011}, {"<|call|>", 200012},
      {"<|endofprompt|>", 200018}, {"<|reserved_201087|>", 201087}};
  for (const auto& [name, id] : names) {
    EXPECT_EQ(tokenizer->encode(name, Specials::parse), std::vector<uint32_t>{id}) << name;
    EXPECT_GT(tokenizer->encode(name).size(), 1u) << name;
    EXPECT_EQ(tokenizer->decode(std::vector<uint32_t>{id}), name);
    EXPECT_EQ(tokenizer->token_bytes(id), "");
  }
  EXPECT_EQ(tokenizer->encode("<|reserved_200018|>", Specials::parse),
            std::vector<uint32_t>{200018});
  EXPECT_EQ(tokenizer->piece(200018), "<|endofprompt|>");
  EXPECT_EQ(tokenizer->bos_id(), 199998u);
  EXPECT_EQ(tokenizer->special_tokens().size(), 1090u);
}

TEST(Tiktoken, HolesStandForNothing) {
  const auto tokenizer = parse_tiktoken(rank_file(100256), "t.tiktoken", "");
  EXPECT_EQ(tokenizer->token_bytes(100256), "");
  EXPECT_EQ(tokenizer->piece(100261), "");
  EXPECT_EQ(tokenizer->decode(std::vector<uint32_t>{'a', 100256, 'b'}), "ab");
}

TEST(Tiktoken, MergesWithinARunOfOtherBytes) {
  const std::string file = rank_file(256) + base64("\xE4\xBD") + " 256\n" + base64("\xBD\xFF\xFF") +
                           " 257\n" + base64("\xFF\xFF") + " 258\n";
  const auto tokenizer = parse_tiktoken(file, "t", "o200k_base");
  EXPECT_EQ(tokenizer->encode("a\xE4\xBD"), (std::vector<uint32_t>{'a', 256}));
  EXPECT_EQ(tokenizer->encode("a\xBD\xFF\xFF!"), (std::vector<uint32_t>{'a', 257, '!'}));
  EXPECT_EQ(tokenizer->encode("\xE4\xBD\xFF\xFF"), (std::vector<uint32_t>{256, 258}));
}

TEST(Tiktoken, RefusesDamage) {
  const std::string good = rank_file(260);
  EXPECT_EQ(tiktoken_error(good + "!!!! 260\n"),
            "t.tiktoken:261: not a line of a tiktoken rank file: the token is not base64, found "
            "'!!!! 260'");
  EXPECT_TRUE(contains(tiktoken_error(good + "YWE 260\n"), "261: ")) << "no padding";
  EXPECT_TRUE(contains(tiktoken_error(good + "Y=E= 260\n"), "not base64"));
  EXPECT_TRUE(contains(tiktoken_error(good + " 260\n"), "not base64"));
  EXPECT_TRUE(contains(tiktoken_error(good + "YWE=\n"), "expected base64, a space and a rank"));
  for (const char* rank : {"", "x", "-1", "1.5", "16777216", "99999999999999999999", "260 1"}) {
    EXPECT_TRUE(contains(tiktoken_error(good + "YWE= " + rank + "\n"), "261: ")) << rank;
  }
  EXPECT_TRUE(contains(tiktoken_error(good + "YWE= 7\n"),
                       "261: not a line of a tiktoken rank file: "
                       "rank 7 comes a second time"));
  EXPECT_TRUE(contains(tiktoken_error(good + "AA== 260\n"), "has another rank too"));
  EXPECT_TRUE(contains(tiktoken_error(rank_file(255)), "the byte 0xFF has no rank"));
  EXPECT_TRUE(contains(tiktoken_error(rank_file(50280), ErrorKind::data, "p50k_base"),
                       "rank 50256 is given, but it is the id of <|endoftext|> in p50k_base"));
  parse_tiktoken(good + "\n\n", "t.tiktoken", "r50k_base");
}

TEST(Tiktoken, AnEncodingMustBeKnown) {
  EXPECT_EQ(tiktoken_error(rank_file(300), ErrorKind::usage, ""),
            "t.tiktoken: 300 ranks do not tell how this tiktoken file cuts text.\n"
            "Write t.tiktoken:ENCODING with one of r50k_base, p50k_base, p50k_edit, cl100k_base, "
            "o200k_base, o200k_harmony, llama3, llama4, qwen, qwen3.5.");
  EXPECT_TRUE(contains(tiktoken_error(rank_file(300), ErrorKind::usage, "o300k"),
                       "'o300k' is not an encoding (known: r50k_base, "));
}

TEST(Tiktoken, TheEmptyTokenOfWhisperIsARankThatStandsForNothing) {
  const auto tokenizer = parse_tiktoken(rank_file(300) + "= 300\n", "t.tiktoken", "r50k_base");
  EXPECT_EQ(tokenizer->token_bytes(300), "");
  EXPECT_EQ(tokenizer->eos_id(), 301u);
}

// Names and ids as the packages that publish the files have them: sorted by id, "NAME ID\n" each.
TEST(Tiktoken, EncodingsHaveThePublishedSpecialTokens) {
  const struct {
    size_t ranks;
    const char* encoding;
    int64_t vocab_size;
    std::optional<uint32_t> bos;
    uint32_t eos;
    std::pair<const char*, uint32_t> one;
    const char* checksum;
  } cases[] = {
      {128000, "llama3", 128256, 128000, 128001, {"<|eot_id|>", 128009}, "ed523b14ac6c2c13"},
      {200000, "llama4", 202048, 200000, 200001, {"<|patch|>", 200092}, "5f3a9f78886e177a"},
      {151643, "qwen", 151851, std::nullopt, 151643, {"<|im_end|>", 151645}, "e8f6706b732fc107"},
      {248044, "qwen3.5", 248077, std::nullopt, 248044, {"<think>", 248068}, "3b653406eeb72eff"},
  };
  for (const auto& wanted : cases) {
    const std::string file = rank_file(wanted.ranks);
    const auto tokenizer = parse_tiktoken(file, "t.tiktoken", "");
    EXPECT_EQ(tokenizer->vocab_size(), wanted.vocab_size) << wanted.encoding;
    EXPECT_EQ(tokenizer->bos_id(), wanted.bos);
    EXPECT_EQ(tokenizer->eos_id(), wanted.eos);
    EXPECT_EQ(tokenizer->encode(wanted.one.first, Specials::parse),
              std::vector<uint32_t>{wanted.one.second});
    std::string names;
    for (const SpecialToken& token : tokenizer->special_tokens()) {
      names += token.name + " " + std::to_string(token.id) + "\n";
    }
    EXPECT_EQ(checksum(names), wanted.checksum) << wanted.encoding;
    EXPECT_EQ(tokenizer->file_name(), "tokenizer.tiktoken");
    EXPECT_EQ(parse_tiktoken(file, "t.tiktoken", wanted.encoding)->fingerprint(),
              tokenizer->fingerprint());
  }
}

TEST(Tiktoken, QwenNormalizesText) {
  const auto qwen = parse_tiktoken(rank_file(151643), "t", "");
  EXPECT_EQ(qwen->decode(qwen->encode("cafe\u0301")), "caf\u00e9");
  EXPECT_EQ(qwen->encode("\u2126"), qwen->encode("\u03a9"));
  const auto pattern_alone = parse_tiktoken(rank_file(300), "t", "qwen");
  EXPECT_EQ(pattern_alone->decode(pattern_alone->encode("cafe\u0301")), "cafe\u0301");
}

TEST(Tiktoken, SaysWhatItTakesForGranted) {
  EXPECT_EQ(parse_tiktoken(rank_file(258), "t", "cl100k_base")->assumption(),
            "t: 258 ranks, and cl100k_base has 100,256: only its pattern is used");
  EXPECT_EQ(parse_tiktoken(rank_file(128000), "t", "")->assumption(),
            "t: as many ranks as llama3, 128,000, but not the published ones: its pattern and "
            "special tokens are assumed");
  // The last ranks of p50k_base are its own: runs of 10 to 25 spaces.
  std::string spaces = rank_file(50280 - 24);
  for (size_t i = 0; i < 24; ++i) {
    spaces += base64(std::string(i + 2, ' ')) + " " + std::to_string(50257 + i) + "\n";
  }
  EXPECT_EQ(parse_tiktoken(spaces, "t", "")->assumption(), "");
  EXPECT_EQ(parse_tiktoken(spaces, "t", "p50k_edit")->assumption(), "");
  EXPECT_EQ(parse_tiktoken(spaces, "t", "o200k_base")->assumption(),
            "t: these are the 50,280 ranks of p50k_base, not the 199,998 of o200k_base: only its "
            "pattern is used");
}

class HfFile : public testing::Test {
 protected:
  Json json_ = Json::parse(read_file(kData / "bytelevel.tokenizer.json"));

  std::unique_ptr<Tokenizer> parse() const { return parse_hf_tokenizer(json_.dump(), "tok.json"); }
  // The message with this member, given by a JSON pointer, changed.
  std::string error_with(const char* pointer, const Json& value) const {
    Json changed = json_;
    changed[Json::json_pointer(pointer)] = value;
    return error_of(ErrorKind::data, [&] { parse_hf_tokenizer(changed.dump(), "tok.json"); });
  }
};

TEST_F(HfFile, RefusesWhatIsNotSupportedByName) {
  const struct {
    const char* pointer;
    Json value;
    const char* message;
  } cases[] = {
      {"/model/type", "WordLevel", "tok.json: model.type: \"WordLevel\" is not supported"},
      {"/model/type", "WordPiece", "model.type: \"WordPiece\" of bytes (ByteLevel) is not"},
      {"/model/dropout", 0.1, "model.dropout: 0.1 is not supported"},
      {"/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix: \"##\""},
      {"/normalizer", {{"type", "ByteLevel"}}, "tok.json: normalizer: \"ByteLevel\" is not"},
      {"/normalizer",
       {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Nfc"}}}}},
       "tok.json: normalizer.normalizers[1]: \"Nfc\" is not supported"},
      {"/normalizer",
       {{"type", "Replace"}, {"pattern", {{"Regex", "(a"}}}, {"content", ""}},
       "tok.json: normalizer.pattern: cannot use the split pattern"},
      {"/normalizer", {{"type", "Prepend"}}, "normalizer.prepend: expected a string, found null"},
      {"/normalizer", {{"type", "Strip"}, {"strip_left", 1}}, "normalizer.strip_left: expected"},
      {"/decoder",
       {{"type", "Metaspace"}, {"replacement", "▁"}},
       "decoder: \"Metaspace\" is not supported behind the pre-tokenizer ByteLevel"},
      {"/decoder", {{"type", "CTC"}}, "decoder: \"CTC\" is not supported"},
      {"/pre_tokenizer", nullptr, "decoder: \"ByteLevel\" is supported only behind"},
      {"/pre_tokenizer", {{"type", "UnicodeScripts"}}, "pre_tokenizer: \"UnicodeScripts\" is not"},
      {"/pre_tokenizer",
       {{"type", "Punctuation"}, {"behavior", "Isolate"}},
       "pre_tokenizer.behavior: \"Isolate\" is not supported"},
      {"/pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "ByteLevel"}}}}},
       "pre_tokenizer.pretokenizers[1]: a second ByteLevel is not supported"},
      {"/pre_tokenizer/add_prefix_space", 1, "pre_tokenizer.add_prefix_space: expected true or"},
      {"/post_processor", {{"type", "CharProcessing"}}, "post_processor: \"CharProcessing\""},
      {"/post_processor",
       {{"type", "BertProcessing"}, {"cls", {"a", 1}}, {"sep", {"b"}}},
       "post_processor.sep: expected a name and an id, found"},
      {"/post_processor",
       {{"type", "BertProcessing"}, {"cls", {"a", 9999}}, {"sep", {"b", 2}}},
       "post_processor.cls[1]: 9999 is outside the vocabulary"},
      {"/added_tokens/0/single_word", 1, "added_tokens[0].single_word: expected true or false"},
      {"/added_tokens/0/id", 3, "added_tokens[0].id: 3 is not the id of '<|endoftext|>'"},
      {"/added_tokens/0/id", -1, "added_tokens[0].id: expected a token id"},
      {"/added_tokens", 1, "added_tokens: expected an array, found 1"},
      {"/model/vocab", Json::array(), "model.vocab: expected an object"},
      {"/model/vocab/a", 1 << 24, "model.vocab.a: expected a token id from 0 to 16777215"},
      {"/model/vocab/a", 5, "another token has the id 5 too"},
      {"/model/merges/3", "a b c", "model.merges[3]: expected two tokens"},
      {"/model/merges/4", Json::array({"q", "☃"}), "merges[4]: the token '☃' is not in"},
      {"/model/merges/5", Json::array({"a", 1}), "model.merges[5]: expected two tokens"},
      {"/model", nullptr, "tok.json: no member \"model\""},
  };
  for (const auto& wanted : cases) {
    EXPECT_TRUE(contains(error_with(wanted.pointer, wanted.value), wanted.message))
        << error_with(wanted.pointer, wanted.value);
  }
}

TEST_F(HfFile, RefusesSplitsThatItCannotDo) {
  const auto sequence = [](Json split) {
    return Json{{"type", "Sequence"},
                {"pretokenizers", {std::move(split), {{"type", "ByteLevel"}}}}};
  };
  const Json split = {{"type", "Split"}, {"pattern", {{"Regex", "a+"}}}, {"behavior", "Isolated"}};
  json_["pre_tokenizer"] = sequence(split);
  EXPECT_EQ(parse()->vocab_size(), 481);
  const auto error_of_split = [&](const char* key, Json value) {
    Json changed = split;
    changed[key] = std::move(value);
    return error_with("/pre_tokenizer", sequence(changed));
  };
  EXPECT_TRUE(contains(error_of_split("behavior", "MergedWithBoth"),
                       "pre_tokenizer.pretokenizers[0].behavior: \"MergedWithBoth\""));
  EXPECT_TRUE(contains(error_of_split("pattern", {{"Regex", "(a"}}),
                       "pre_tokenizer.pretokenizers[0].pattern: "));
  EXPECT_TRUE(contains(error_of_split("pattern", {{"String", ""}}), "the pattern is empty"));
}

TEST_F(HfFile, TellsWhereJsonIsDamaged) {
  const std::string whole = json_.dump();
  EXPECT_EQ(error_of(ErrorKind::data, [&] { parse_hf_tokenizer(whole.substr(0, 100), "t"); }),
            "t: byte 101: not well-formed JSON; is the file whole?");
}

TEST_F(HfFile, FindsBosAndEos) {
  EXPECT_EQ(parse()->eos_id(), 480u);
  EXPECT_FALSE(parse()->bos_id());
  // Not declared as added: only a name of the vocabulary, which no merge gives.
  json_["added_tokens"] = Json::array();
  json_["model"]["vocab"]["<|endoftext|>"] = 480;
  EXPECT_EQ(parse()->eos_id(), 480u);
  EXPECT_EQ(parse()->token_bytes(480), "");
  EXPECT_GT(parse()->encode("<|endoftext|>", Specials::parse).size(), 1u);
  EXPECT_EQ(parse()->decode(std::vector<uint32_t>{480}), "<|endoftext|>");
  json_["model"]["vocab"].erase("<|endoftext|>");
  EXPECT_FALSE(parse()->eos_id());
}

// Names too long for std::string to keep them in place: a view of a copy would look at freed
// memory.
TEST_F(HfFile, ViewsOfAddedTokensLastAsLongAsTheTokenizer) {
  std::vector<std::string> names;
  for (uint32_t id = 481; id < 500; ++id) {
    names.push_back("<ordinary added token " + std::to_string(id) + ">");
    json_["added_tokens"].push_back({{"id", id}, {"content", names.back()}, {"special", false}});
  }
  const auto tokenizer = parse();
  std::vector<std::string_view> views;
  for (uint32_t id = 481; id < 500; ++id) views.push_back(tokenizer->token_bytes(id));
  std::string text = "a";
  for (const std::string& name : names) text += name + "b";
  const std::vector<uint32_t> ids = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(ids), text);
  StreamDecoder decoder(*tokenizer);
  std::string streamed;
  for (const uint32_t id : ids) streamed += decoder.push(id);
  EXPECT_EQ(streamed + decoder.finish(), text);
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(views[i], names[i]);
    EXPECT_EQ(tokenizer->piece(static_cast<uint32_t>(481 + i)), names[i]);
    EXPECT_EQ(tokenizer->byte_lengths()[481 + i], static_cast<int32_t>(names[i].size()));
  }
}

TEST_F(HfFile, WholePiecesNeedMergesUnlessIgnored) {
  const uint32_t the = json_["model"]["vocab"]["Ġthe"];
  EXPECT_EQ(parse()->encode(" the"), std::vector<uint32_t>{the});
  json_["model"]["merges"] = Json::array();
  EXPECT_EQ(parse()->encode(" the").size(), 4u);
  json_["model"]["ignore_merges"] = true;
  EXPECT_EQ(parse()->encode(" the"), std::vector<uint32_t>{the});
}

TEST_F(HfFile, TakesATemplatesTokens) {
  json_["added_tokens"].push_back(
      {{"id", 481}, {"content", "[B]"}, {"special", true}, {"normalized", false}});
  json_["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "[B]"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"[B]", {{"id", "[B]"}, {"ids", {481}}, {"tokens", {"[B]"}}}}}}};
  EXPECT_EQ(parse()->bos_id(), 481u);
  EXPECT_EQ(parse()->eos_id(), 480u);
  EXPECT_EQ(parse()->encode("a"), std::vector<uint32_t>{json_["model"]["vocab"]["a"]})
      << "the template adds nothing";
}

// Damage must give an error or a tokenizer, never a crash.
TEST_F(HfFile, SurvivesDamage) {
  const std::string whole = json_.dump(), ranks = read_file(kData / "small.tiktoken");
  Rng rng(31);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = i % 2 ? whole : ranks;
    damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    if (i % 5 == 0) damaged.resize(rng.below(damaged.size()));
    try {
      const auto tokenizer =
          i % 2 ? parse_hf_tokenizer(damaged, "t") : parse_tiktoken(damaged, "t", "r50k_base");
      tokenizer->encode("The king's 42 men\n<|endoftext|>", Specials::parse);
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::data || error.kind() == ErrorKind::usage);
    }
  }
}

}  // namespace
}  // namespace mythos
