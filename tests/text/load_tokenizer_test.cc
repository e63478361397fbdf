#include "text/load_tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "scratch.h"
#include "text/carried_name.h"
#include "text/export_tokenizer.h"
#include "text/hf/hf_tokenizer.h"

namespace mythos {
namespace {

using Json = nlohmann::json;

const fs::path kData = fs::path(MYTHOS_SOURCE_DIR) / "tests/text/data";
constexpr const char* kEnd = "<｜end▁of▁sentence｜>";

TEST(CarriedName, IsReadAsItIsWritten) {
  for (const char* text : {"tokenizer.model", "tokenizer.json", "tekken.json", "tokenizer.tiktoken",
                           "tokenizer.o200k_base.tiktoken", "tokenizer.qwen3.5.tiktoken",
                           "tokenizer.qwen3.5.eos-7.tiktoken", "tokenizer.bos-1.eos-0.json",
                           "tekken.eos-12.json", "tokenizer.bos-4294967295.model"}) {
    const auto name = parse_carried_name(text);
    ASSERT_TRUE(name) << text;
    EXPECT_EQ(name->format(), text);
  }
  const auto name = parse_carried_name("tokenizer.cl100k_base.bos-3.eos-100260.tiktoken");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->encoding, "cl100k_base");
  EXPECT_EQ(name->bos, 3u);
  EXPECT_EQ(name->eos, 100260u);
  EXPECT_EQ(name->tag(), "cl100k_base.bos-3.eos-100260");
}

TEST(CarriedName, RefusesOtherNames) {
  for (const char* text :
       {"", "tokenizer", "tokenizer.", "tokenizer..json", "tokenizer.o300k.tiktoken",
        "o200k_base.tiktoken", "tokenizer.o200k_base.tiktoken.bak", "tokenizer.o200k_base.json",
        "tekken.model", "tekken.tiktoken", "tokenizer.eos-.json", "tokenizer.eos-01.json",
        "tokenizer.eos--1.json", "tokenizer.eos-4294967296.json", "tokenizer.eos-1.bos-2.json",
        "tokenizer.eos-1.eos-2.json", "tokenizer.eos-1.", "tokenizerjson", "tokenizer.x.json"}) {
    EXPECT_FALSE(parse_carried_name(text)) << text;
  }
}

class LoadTokenizer : public testing::Test {
 protected:
  // A tokenizer.json with special tokens of unusual names, 481 and 482, "<turn>", 483, which is
  // not marked special, and with EOS <|endoftext|>, 480.
  LoadTokenizer() {
    const auto add = [&](int id, const char* name, bool special) {
      json_["added_tokens"].push_back(
          {{"id", id}, {"content", name}, {"special", special}, {"normalized", false}});
    };
    add(481, "<｜begin▁of▁sentence｜>", true);
    add(482, kEnd, true);
    add(483, "<turn>", false);
    write("tokenizer.json", json_.dump());
  }
  void write(const std::string& name, const std::string& text) {
    write_file_atomic(scratch_ / name, text);
  }
  fs::path file() const { return scratch_ / "tokenizer.json"; }
  std::unique_ptr<Tokenizer> load(const std::string& bos = "", const std::string& eos = "") const {
    return load_tokenizer({file().string(), bos, eos});
  }
  std::string error(const std::string& bos, const std::string& eos) const {
    return error_of(ErrorKind::usage, [&] { load(bos, eos); });
  }
  // The tokenizer as a directory that carries it has it.
  std::unique_ptr<Tokenizer> carried(const Tokenizer& tokenizer) const {
    const fs::path directory = scratch_ / "carried";
    fs::remove_all(directory);
    fs::create_directory(directory);
    write_file_atomic(directory / tokenizer.file_name(), tokenizer.file_content());
    return load_carried_tokenizer(directory / tokenizer.file_name());
  }

  Scratch scratch_;
  Json json_ = Json::parse(read_file(kData / "bytelevel.tokenizer.json"));
};

TEST_F(LoadTokenizer, TakesBosAndEosByNameOrId) {
  EXPECT_EQ(load()->eos_id(), 480u);
  EXPECT_EQ(load()->file_name(), "tokenizer.json");
  EXPECT_EQ(load()->fingerprint(), checksum(json_.dump()));
  for (const char* eos : {"482", kEnd}) {
    const auto tokenizer = load("", eos);
    EXPECT_EQ(tokenizer->eos_id(), 482u);
    EXPECT_FALSE(tokenizer->bos_id());
    EXPECT_EQ(tokenizer->file_name(), "tokenizer.eos-482.json");
    EXPECT_EQ(tokenizer->fingerprint(), checksum(json_.dump() + "eos-482"));
  }
  const auto both = load("481", kEnd);
  EXPECT_EQ(both->bos_id(), 481u);
  EXPECT_EQ(both->file_name(), "tokenizer.bos-481.eos-482.json");
  EXPECT_EQ(load("", "<|endoftext|>")->fingerprint(), load()->fingerprint()) << "as the file says";
}

TEST_F(LoadTokenizer, WhatIsChosenIsCarried) {
  const auto tokenizer = load("481", kEnd);
  write("tokenizer_config.json", R"({"eos_token": "<|endoftext|>"})");
  const auto again = carried(*tokenizer);
  EXPECT_EQ(again->bos_id(), 481u);
  EXPECT_EQ(again->eos_id(), 482u);
  EXPECT_EQ(again->fingerprint(), tokenizer->fingerprint());
  EXPECT_EQ(load_tokenizer(scratch_ / "carried")->fingerprint(), tokenizer->fingerprint());
  EXPECT_EQ(load_carried_tokenizer(scratch_ / "carried")->eos_id(), 482u);
  EXPECT_EQ(tokenizer_fingerprint(again->file_content(), again->file_name()),
            tokenizer->fingerprint());
}

TEST_F(LoadTokenizer, RefusesTokensThatCannotBeEos) {
  EXPECT_EQ(error("", "484"), "EOS cannot be token 484: the vocabulary has 484");
  EXPECT_EQ(error("", "a"),
            "EOS cannot be token 64, 'a': it stands for text. Choose a special "
            "token.");
  EXPECT_TRUE(contains(error("64", ""), "BOS cannot be token 64"));
  EXPECT_EQ(error("", "<|endoftex|>"),
            "--eos-token: the vocabulary has no token '<|endoftex|>'. Did you mean "
            "'<|endoftext|>'?");
  EXPECT_TRUE(contains(error("nothing like it", ""), "--bos-token: the vocabulary has no token"));
}

TEST_F(LoadTokenizer, EosMayLieBehindAVocabularyWhoseEndIsAssumed) {
  const std::string ranks = (kData / "small.tiktoken").string() + ":r50k_base";
  const auto tokenizer = load_tokenizer({ranks, "", "490"});
  EXPECT_EQ(tokenizer->eos_id(), 490u);
  EXPECT_EQ(tokenizer->vocab_size(), 491);
  std::vector<uint32_t> ids = tokenizer->encode("a");
  ids.push_back(490);
  EXPECT_EQ(tokenizer->decode(ids), "a");
  EXPECT_EQ(tokenizer->file_name(), "tokenizer.r50k_base.eos-490.tiktoken");
  EXPECT_EQ(carried(*tokenizer)->vocab_size(), 491);
  EXPECT_TRUE(contains(error_of(ErrorKind::usage,
                                [&] {
                                  load_tokenizer({ranks, "", "16777216"});
                                }),
                       "the vocabulary has 481"));
}

TEST_F(LoadTokenizer, ATokenThatIsNotMarkedSpecialBecomesSpecialAsEos) {
  EXPECT_EQ(load()->encode("a<turn>"), (std::vector<uint32_t>{64, 483}));
  const auto tokenizer = load("", "<turn>");
  const auto ids = tokenizer->encode("a<turn>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 483u), 0) << "text never gives EOS";
  EXPECT_EQ(tokenizer->decode(ids), "a<turn>");
  EXPECT_EQ(tokenizer->token_bytes(483), "");
  EXPECT_EQ(tokenizer->encode("a<turn>", Specials::parse), (std::vector<uint32_t>{64, 483}));
}

TEST_F(LoadTokenizer, FilesBesideATokenizerJsonTellBosAndEos) {
  const auto eos_with = [&](const std::string& name, const std::string& text) {
    write(name, text);
    return load()->eos_id();
  };
  EXPECT_EQ(eos_with("config.json", R"({"eos_token_id": 481, "bos_token_id": 481})"), 481u);
  EXPECT_EQ(load()->bos_id(), 481u);
  EXPECT_EQ(eos_with("generation_config.json", R"({"eos_token_id": [482, 480]})"), 482u);
  EXPECT_EQ(load()->file_name(), "tokenizer.bos-481.eos-482.json");
  EXPECT_EQ(eos_with("special_tokens_map.json", R"({"eos_token": "<|endoftext|>"})"), 480u);
  EXPECT_EQ(eos_with("tokenizer_config.json",
                     R"({"bos_token": null, "eos_token": {"content": "<turn>", "lstrip": false}})"),
            483u);
  EXPECT_EQ(load("", kEnd)->eos_id(), 482u) << "the user's choice goes first";
  EXPECT_EQ(load_tokenizer(scratch_.path())->eos_id(), 483u) << "the folder";
  EXPECT_EQ(carried(*load())->eos_id(), 483u);
}

TEST_F(LoadTokenizer, WarnsOfFilesThatNameNoSpecialToken) {
  testing::internal::CaptureStderr();
  write("tokenizer_config.json", R"({"eos_token": "</s>", "bos_token": "a"})");
  write("generation_config.json", R"({"eos_token_id": 482})");
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->eos_id(), 480u);
  EXPECT_FALSE(tokenizer->bos_id());
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(contains(
      said,
      "tokenizer_config.json: eos_token \"</s>\" is left aside: the tokenizer has no such token"));
  EXPECT_TRUE(contains(said, "it stands for text"));
}

TEST_F(LoadTokenizer, RefusesADamagedFileBesideIt) {
  write("tokenizer_config.json", "{\"eos_token\": ");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load(); }), "tokenizer_config.json: byte "));
  write("tokenizer_config.json", "[1]");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load(); }), "expected a JSON object"));
  for (const char* strange : {R"({"eos_token": 3})", R"({"eos_token": {"content": null}})",
                              R"({"eos_token": []})", R"({"eos_token": ""})", "{}"}) {
    write("tokenizer_config.json", strange);
    EXPECT_EQ(load()->eos_id(), 480u) << strange;
  }
}

using Names = std::vector<std::string>;

TEST_F(LoadTokenizer, AnExportHasUsualNamesAndTellsBosAndEos) {
  const fs::path folder = scratch_ / "export";
  const auto names_of = [&](const Tokenizer& tokenizer) {
    fs::remove_all(folder);
    fs::create_directory(folder);
    const Names names = export_tokenizer(folder, tokenizer);
    EXPECT_EQ(load_tokenizer(folder)->fingerprint(), tokenizer.fingerprint());
    EXPECT_TRUE(std::ranges::all_of(names, is_tokenizer_export));
    return names;
  };
  EXPECT_EQ(names_of(*load()), Names{"tokenizer.json"});
  EXPECT_EQ(names_of(*load("", kEnd)), (Names{"tokenizer.json", "tokenizer_config.json"}));
  EXPECT_EQ(Json::parse(read_file(folder / "tokenizer_config.json")), Json({{"eos_token", kEnd}}));
  EXPECT_EQ(names_of(*load("481", "<turn>")), (Names{"tokenizer.json", "tokenizer_config.json"}));
  EXPECT_EQ(load_tokenizer(folder)->bos_id(), 481u);
  EXPECT_EQ(load_tokenizer(folder)->eos_id(), 483u);
  const auto ranks = load_tokenizer(kData / "small.tiktoken:o200k_base");
  EXPECT_EQ(names_of(*ranks), Names{"tokenizer.o200k_base.tiktoken"});
}

TEST_F(LoadTokenizer, AnExportTellsATokenWithoutANameById) {
  const auto ranks = load_tokenizer(
      TokenizerChoice{(kData / "small.tiktoken").string() + ":o200k_base", "", "700"});
  const fs::path folder = scratch_ / "export";
  fs::create_directory(folder);
  EXPECT_EQ(export_tokenizer(folder, *ranks),
            (Names{"tokenizer.o200k_base.tiktoken", "generation_config.json"}));
  EXPECT_EQ(load_tokenizer(folder)->fingerprint(), ranks->fingerprint());
}

// What a tokenizer.json's tokens and merges are in vocab.json and merges.txt.
nlohmann::json vocab_of(const nlohmann::json& json) {
  nlohmann::json vocab = json["model"]["vocab"];
  for (const nlohmann::json& token : json["added_tokens"]) {
    vocab[token["content"].get<std::string>()] = token["id"];
  }
  return vocab;
}
std::string merges_of(const nlohmann::json& json) {
  std::string merges = "#version: 0.2\n";
  for (const nlohmann::json& pair : json["model"]["merges"]) {
    merges += pair[0].get<std::string>() + " " + pair[1].get<std::string>() + "\n";
  }
  return merges;
}

// GPT-2's two files give the ids of the tokenizer.json that is made of them.
TEST_F(LoadTokenizer, TakesVocabularyAndMergesOfGpt2) {
  const auto whole = load_tokenizer(kData / "bytelevel.tokenizer.json");
  const auto json = nlohmann::json::parse(read_file(kData / "bytelevel.tokenizer.json"));
  const std::string merges = merges_of(json);
  const fs::path folder = scratch_ / "gpt2";
  fs::create_directory(folder);
  write_file_atomic(folder / "vocab.json", vocab_of(json).dump());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_tokenizer(folder); }),
                       "vocab.json with merges.txt"));
  write_file_atomic(folder / "merges.txt", merges);
  for (const fs::path& path : {folder, folder / "vocab.json"}) {
    const auto tokenizer = load_tokenizer(path);
    for (const char* text :
         {"the other day, it's 12 o'clock", " two  spaces\n\n", "日本 #1 a</w>"}) {
      EXPECT_EQ(tokenizer->encode(text), whole->encode(text)) << text;
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    }
    EXPECT_EQ(tokenizer->eos_id(), whole->eos_id());
    EXPECT_EQ(tokenizer->vocab_size(), whole->vocab_size());
    EXPECT_EQ(tokenizer->file_name(), "tokenizer.json");
  }
  write_file_atomic(folder / "merges.txt", merges + "Ġ qqq\n");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_tokenizer(folder); }),
                       "the token 'qqq' is not in model.vocab"));
}

// CLIP's have tokens that end with "</w>", and are read as CLIP's tokenizer.json is.
TEST_F(LoadTokenizer, TakesVocabularyAndMergesOfClip) {
  const auto json = nlohmann::json::parse(read_file(kData / "hf_golden.json"))["bases"]["clip"];
  const auto whole = parse_hf_tokenizer(json.dump(), "tok.json");
  const fs::path folder = scratch_ / "clip";
  fs::create_directory(folder);
  nlohmann::json vocab = vocab_of(json);
  write_file_atomic(folder / "merges.txt", merges_of(json));
  write_file_atomic(folder / "vocab.json", vocab.dump());
  const auto tokenizer = load_tokenizer(folder);
  const std::string text = "The KING's\n\n 12  men,  naïve e\u0301 — x</w>";
  EXPECT_EQ(tokenizer->encode(text), whole->encode(text));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)),
            "the king 's 1 2 men , naïve \u00e9 — x </ w > ");
  EXPECT_EQ(tokenizer->bos_id(), vocab["<|startoftext|>"]);
  EXPECT_EQ(tokenizer->eos_id(), vocab["<|endoftext|>"]);
  EXPECT_EQ(tokenizer->piece(vocab["the</w>"]), "the</w>");
  EXPECT_EQ(tokenizer->piece(vocab["Ġ</w>"]), "Ġ</w>");

  vocab.erase("<|startoftext|>");
  write_file_atomic(folder / "vocab.json", vocab.dump());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_tokenizer(folder); }),
                       "its tokens end with '</w>', but they are not CLIP's"));
}

TEST_F(LoadTokenizer, TakesAFolder) {
  const fs::path folder = scratch_ / "folder";
  fs::create_directory(folder);
  const auto name_in = [&] { return load_tokenizer(folder)->file_name(); };
  EXPECT_TRUE(contains(error_of(ErrorKind::data, name_in), "holds no tokenizer"));
  const std::string ranks = read_file(kData / "small.tiktoken");
  write_file_atomic(folder / "a.tiktoken", ranks);
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, name_in), "do not tell"));
  EXPECT_EQ(load_tokenizer(folder.string() + ":r50k_base")->file_name(),
            "tokenizer.r50k_base.tiktoken");
  write_file_atomic(folder / "b.tiktoken", ranks);
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, name_in), "a.tiktoken, b.tiktoken"));
  write_file_atomic(folder / "tokenizer.o200k_base.eos-480.tiktoken", ranks);
  EXPECT_EQ(name_in(), "tokenizer.o200k_base.tiktoken") << "480 is EOS there anyway";
  fs::copy(kData / "bytelevel.tokenizer.json", folder / "tokenizer.json");
  EXPECT_EQ(name_in(), "tokenizer.json");
}

TEST_F(LoadTokenizer, TellsTheKindByContent) {
  const std::string ranks = read_file(kData / "small.tiktoken");
  write("tokenizer.model", ranks);  // as Llama 3 names it
  EXPECT_EQ(load_tokenizer((scratch_ / "tokenizer.model").string() + ":cl100k_base")->vocab_size(),
            481);
  write("a:r50k_base", ranks);
  EXPECT_EQ(load_tokenizer((scratch_ / "a:r50k_base").string() + ":cl100k_base")->file_name(),
            "tokenizer.cl100k_base.tiktoken")
      << "a colon may be part of a name";
  const std::string json = file().string();
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { load_tokenizer(json + ":r50k_base"); }),
                       "not a tiktoken rank file, so it takes no encoding"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { load_tokenizer(scratch_ / "b:r50k_base"); }),
                       "b:r50k_base"));
}

TEST_F(LoadTokenizer, CarriesFileAndEncoding) {
  const std::string ranks = read_file(kData / "small.tiktoken");
  for (const char* name :
       {"small.tiktoken:o200k_base", "small.tiktoken:r50k_base", "bytelevel.tokenizer.json"}) {
    const auto tokenizer = load_tokenizer(kData / name);
    const auto again = carried(*tokenizer);
    EXPECT_EQ(again->fingerprint(), tokenizer->fingerprint());
    EXPECT_EQ(again->file_name(), tokenizer->file_name());
    EXPECT_EQ(again->encode("It's 1234"), tokenizer->encode("It's 1234"));
  }
  // As every earlier version wrote them.
  EXPECT_EQ(tokenizer_fingerprint(ranks, "tokenizer.tiktoken"), checksum(ranks));
  EXPECT_EQ(tokenizer_fingerprint(ranks, "tokenizer.o200k_base.tiktoken"),
            checksum(ranks + "o200k_base"));
}

}  // namespace
}  // namespace mythos
