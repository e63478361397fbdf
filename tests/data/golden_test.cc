#include <gtest/gtest.h>

#include "data/shards/shards.h"
#include "scratch.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

const fs::path kGolden = fs::path(MYTHOS_SOURCE_DIR) / "tests/golden/shards-v1";

std::string text_of(const ShardDirectory& shards, const Tokenizer& tokenizer, Split split) {
  std::vector<uint32_t> ids(shards.tokens(split));
  shards.read(split, 0, ids);
  return tokenizer.decode(ids);
}

// Written once by version 0.1.0; every later version must read it.
TEST(Golden, ShardsOfVersion1) {
  EXPECT_EQ(verify_shards(kGolden), std::vector<std::string>{});
  const ShardDirectory shards(kGolden);
  const auto tokenizer = load_carried_tokenizer(kGolden);
  shards.require_tokenizer(tokenizer->fingerprint(), "the golden tokenizer");
  EXPECT_EQ(shards.manifest().train.files.size(), 2u);
  EXPECT_EQ(shards.documents(Split::train), 4u);
  EXPECT_EQ(shards.documents(Split::val), 1u);
  EXPECT_EQ(text_of(shards, *tokenizer, Split::train),
            "the loop runs again\n</s>the loop runs  twice ▁ é</s>" + std::string("\0\xFF", 2) +
                "the core of the loop\n</s><s></s></s>");
  EXPECT_EQ(text_of(shards, *tokenizer, Split::val), "the loop rests</s>");
}

TEST(Golden, TokenizerOfVersion1) {
  const auto tokenizer = load_carried_tokenizer(kGolden);
  EXPECT_EQ(tokenizer->fingerprint(), "156b65fd5defa506");
  EXPECT_EQ(tokenizer->encode("the loop runs\xFF again"),
            (std::vector<uint32_t>{260, 267, 280, 258, 281}));
}

class GoldenBad : public testing::Test {
 protected:
  GoldenBad() { fs::copy(kGolden, copy_); }
  void change(const std::string& name, const std::function<void(std::string&)>& f) {
    std::string content = read_file(copy_ / name);
    f(content);
    write_file_atomic(copy_ / name, content);
  }
  std::string open_error() {
    return error_of(ErrorKind::data, [&] { ShardDirectory{copy_}; });
  }
  Scratch scratch_;
  fs::path copy_ = scratch_ / "shards";
};

TEST_F(GoldenBad, AnEditedManifest) {
  change("manifest.json",
         [](std::string& text) { text.replace(text.find("\"eos\": true"), 11, "\"eos\": false"); });
  EXPECT_TRUE(contains(open_error(), "it was edited or damaged"));
}

TEST_F(GoldenBad, ALaterVersion) {
  change("manifest.json", [](std::string& text) {
    text.replace(text.find("mythos.shards/1"), 15, "mythos.shards/9");
  });
  EXPECT_TRUE(contains(open_error(),
                       "'schema' is 'mythos.shards/9'; this program reads 'mythos.shards/1' and "
                       "'mythos.shards/2'"));
}

TEST_F(GoldenBad, AnotherTokenizer) {
  change("tokenizer.model", [](std::string& text) { text += '\0'; });
  EXPECT_TRUE(contains(open_error(), "tokenizer.model"));
}

TEST_F(GoldenBad, ShardsExchanged) {
  fs::rename(copy_ / "train-00000.shard", copy_ / "x");
  fs::rename(copy_ / "train-00001.shard", copy_ / "train-00000.shard");
  fs::rename(copy_ / "x", copy_ / "train-00001.shard");
  EXPECT_TRUE(contains(open_error(), "train-00000.shard"));
  EXPECT_EQ(verify_shards(copy_).size(), 2u);
}

}  // namespace
}  // namespace mythos
