#include "data/build_shards.h"

#include <gtest/gtest.h>

#include <set>

#include "base/strings.h"
#include "number_tokenizer.h"
#include "scratch.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;
using test::NumberTokenizer;

class BuildShards : public testing::Test {
 protected:
  BuildSummary build(const std::string& name, const std::string& text,
                     const BuildOptions& options = {}, const std::string& separator = "\n") {
    write_file_atomic(scratch_ / "input", text);
    ReaderOptions reader_options;
    reader_options.separator = separator;
    DocumentReader reader({(scratch_ / "input").string()}, reader_options);
    return *build_shards(reader, tokenizer_, scratch_ / name, options);
  }
  std::set<std::string> documents(const std::string& name, Split split) {
    const ShardDirectory shards(scratch_ / name);
    std::set<std::string> found;
    for (uint64_t i = 0; i < shards.documents(split); ++i) {
      const uint64_t begin = shards.document_begin(split, i);
      std::vector<uint32_t> ids(shards.document_begin(split, i + 1) - begin);
      shards.read(split, begin, ids);
      found.insert(tokenizer_.decode(ids));
    }
    return found;
  }

  Scratch scratch_;
  NumberTokenizer tokenizer_{300};
};

TEST_F(BuildShards, SplitsByHashWhateverTheOrder) {
  std::string forwards, backwards;
  for (int i = 0; i < 2000; ++i) {
    forwards += strprintf("document %d\n", i);
    backwards += strprintf("document %d\n", 1999 - i);
  }
  BuildOptions options;
  options.val_fraction = 0.1;
  const BuildSummary summary = build("a", forwards, options);
  build("b", backwards, options);
  EXPECT_EQ(summary.manifest.train.documents + summary.manifest.val.documents, 2000u);
  EXPECT_NEAR(static_cast<double>(summary.manifest.val.documents), 200, 45);
  EXPECT_EQ(documents("a", Split::val), documents("b", Split::val));
  EXPECT_EQ(documents("a", Split::train), documents("b", Split::train));
  EXPECT_EQ(ShardDirectory(scratch_ / "a").manifest().train.text_bytes +
                ShardDirectory(scratch_ / "a").manifest().val.text_bytes,
            forwards.size() - 2000);
}

TEST_F(BuildShards, TheSameInputGivesTheSameBytes) {
  build("a", "x\ny\nz\n");
  build("b", "x\ny\nz\n");
  EXPECT_EQ(read_file(scratch_ / "a" / "manifest.json"),
            read_file(scratch_ / "b" / "manifest.json"));
}

TEST_F(BuildShards, ASingleDocumentIsForTraining) {
  BuildOptions options;
  options.val_fraction = 0.999;
  EXPECT_EQ(build("a", "alone", options).manifest.train.documents, 1u);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { build("b", "one\ntwo\nthree\n", options); }),
                       "all 3 documents fell into the validation split"));
  options.val_fraction = 0;
  EXPECT_EQ(build("c", "one\ntwo\nthree\n", options).manifest.val.documents, 0u);
}

TEST_F(BuildShards, EmptyDocumentsAreLeftOut) {
  const BuildSummary summary = build("a", "\n\nx\n\n");
  EXPECT_EQ(summary.empty_documents, 3u);
  EXPECT_EQ(summary.manifest.train.documents, 1u);
}

TEST_F(BuildShards, AnInputWithoutTextLeavesNothing) {
  for (const std::string text : {"", "\n\n\n"}) {
    EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { build("a", text); }), "no text"));
    fs::remove(scratch_ / "input");
    EXPECT_TRUE(fs::is_empty(scratch_.path()));
  }
}

}  // namespace
}  // namespace mythos
