#include "data/shards/shard_report.h"

#include <gtest/gtest.h>

namespace mythos {
namespace {

ShardManifest manifest() {
  ShardManifest manifest;
  manifest.dtype = "u16";
  manifest.vocab_size = 32000;
  manifest.tokenizer_fingerprint = "0123456789abcdef";
  manifest.tokenizer_file = "tokenizer.model";
  manifest.train.tokens = 1'234'567;
  manifest.train.documents = 1000;
  manifest.train.text_bytes = 4'938'268;  // 4 a token
  manifest.train.files = {{"train_000000.shard", 1'000'000, 900, 1 << 20, ""},
                          {"train_000001.shard", 234'567, 100, 1 << 19, ""}};
  return manifest;
}

TEST(ShardReport, TheSummaryIsOneLine) {
  ShardManifest shards = manifest();
  EXPECT_EQ(
      shards_summary("out", shards),
      "out: train 1,234,567 tokens in 1,000 documents, val 0 tokens in 0 documents; documents "
      "without BOS and with EOS");
  shards.bos = true;
  shards.eos = false;
  shards.val.tokens = 2000;
  shards.val.documents = 7;
  EXPECT_EQ(shards_summary("out", shards),
            "out: train 1,234,567 tokens in 1,000 documents, val 2,000 tokens in 7 documents; "
            "documents with BOS and without EOS");
}

TEST(ShardReport, TheTableHasARowForEachSplit) {
  EXPECT_EQ(shards_table("data/web", manifest()),
            "directory   data/web\n"
            "tokenizer   tokenizer.model, fingerprint 0123456789abcdef, vocabulary 32,000\n"
            "tokens      u16, documents without BOS and with EOS\n"
            "\n"
            "split       documents           tokens       text bytes  bytes/token  files       "
            "stored\n"
            "train           1,000        1,234,567        4,938,268         4.00      2      "
            "1.5 MiB\n"
            "val                 0                0                0         0.00      0          "
            "0 B\n");
}

TEST(ShardReport, NamesFromOutsideAreEscapedInTheTable) {
  ShardManifest shards = manifest();
  shards.tokenizer_file = "a\x1b[2J";
  const std::string table = shards_table("two\nlines", shards);
  EXPECT_TRUE(table.starts_with("directory   two\\nlines\ntokenizer   a\\x1b[2J, ")) << table;
}

}  // namespace
}  // namespace mythos
