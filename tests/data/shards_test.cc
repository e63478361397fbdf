#include "data/shards/shards.h"

#include <gtest/gtest.h>

#include <latch>
#include <numeric>
#include <thread>

#include "base/rng.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_format.h"
#include "number_tokenizer.h"
#include "plain_file.h"
#include "scratch.h"

namespace mythos {
namespace {

using Ids = std::vector<uint32_t>;
using Split = ShardDirectory::Split;
using test::NumberTokenizer;

ShardWriterOptions small_files(uint64_t tokens_per_file = 50, uint32_t tokens_per_frame = 8) {
  ShardWriterOptions options;
  options.tokens_per_file = tokens_per_file;
  options.tokens_per_frame = tokens_per_frame;
  return options;
}

Ids random_document(Rng& rng, uint64_t vocab_size, uint64_t max_tokens) {
  Ids ids(rng.below(max_tokens + 1));
  for (uint32_t& id : ids) id = static_cast<uint32_t>(rng.below(vocab_size));
  return ids;
}

// What a directory should hold.
struct Expected {
  Ids stream[2];
  std::vector<uint64_t> begins[2];
};

Expected write_random(const fs::path& path, const Tokenizer& tokenizer,
                      const ShardWriterOptions& options, int documents, uint64_t max_tokens) {
  Expected expected;
  Rng rng(5);
  ShardWriter writer(path, tokenizer, options);
  for (int i = 0; i < documents; ++i) {
    const int split = i % 4 == 3;
    const Ids ids = random_document(rng, static_cast<uint64_t>(tokenizer.vocab_size()), max_tokens);
    writer.add(static_cast<Split>(split), ids, 10);
    if (ids.empty() && !options.bos && !options.eos) continue;
    Ids& stream = expected.stream[split];
    expected.begins[split].push_back(stream.size());
    if (options.bos) stream.push_back(*tokenizer.bos_id());
    stream.insert(stream.end(), ids.begin(), ids.end());
    if (options.eos) stream.push_back(*tokenizer.eos_id());
  }
  writer.commit();
  return expected;
}

Ids read_all(const ShardDirectory& shards, Split split) {
  Ids tokens(shards.tokens(split));
  shards.read(split, 0, tokens);
  return tokens;
}

void expect_holds(const fs::path& path, const Expected& expected) {
  const ShardDirectory shards(path);
  for (const Split split : {Split::train, Split::val}) {
    const Ids& stream = expected.stream[static_cast<int>(split)];
    const auto& begins = expected.begins[static_cast<int>(split)];
    EXPECT_EQ(read_all(shards, split), stream);
    ASSERT_EQ(shards.documents(split), begins.size());
    for (size_t i = 0; i < begins.size(); ++i)
      EXPECT_EQ(shards.document_begin(split, i), begins[i]);
    EXPECT_EQ(shards.document_begin(split, begins.size()), stream.size());
    for (uint64_t token = 0; token <= stream.size(); ++token) {
      const auto after = std::upper_bound(begins.begin(), begins.end(), token);
      const auto document = static_cast<uint64_t>(after - begins.begin()) - 1;
      ASSERT_EQ(shards.document_of(split, token),
                token == stream.size() ? begins.size() : document);
    }
    Rng rng(6);
    for (int i = 0; i < 300; ++i) {
      const uint64_t first = rng.below(stream.size() + 1);
      Ids some(rng.below(stream.size() - first + 1));
      shards.read(split, first, some);
      ASSERT_TRUE(
          std::equal(some.begin(), some.end(), stream.begin() + static_cast<ptrdiff_t>(first)));
    }
  }
  EXPECT_EQ(verify_shards(path), std::vector<std::string>{});
}

TEST(Shards, ReadBackWhatWasWritten) {
  const NumberTokenizer small(300), large(70000);
  for (const bool bos : {false, true}) {
    for (const bool eos : {false, true}) {
      const Scratch scratch;
      ShardWriterOptions options = small_files();
      options.bos = bos;
      options.eos = eos;
      expect_holds(scratch / "u16", write_random(scratch / "u16", small, options, 60, 20));
      expect_holds(scratch / "u32", write_random(scratch / "u32", large, options, 60, 20));
      EXPECT_EQ(ShardDirectory(scratch / "u16").manifest().dtype, "u16");
      EXPECT_EQ(ShardDirectory(scratch / "u32").manifest().dtype, "u32");
      EXPECT_GT(ShardDirectory(scratch / "u16").manifest().train.files.size(), 3u);
    }
  }
}

TEST(Shards, ReadBackWithTheDefaultSizes) {
  const Scratch scratch;
  expect_holds(scratch / "s", write_random(scratch / "s", NumberTokenizer(40000), {}, 40, 9000));
}

TEST(Shards, TheVocabularyDecidesTheType) {
  const Scratch scratch;
  for (const int64_t vocab_size : {65536, 65537}) {
    const fs::path path = scratch / std::to_string(vocab_size);
    ShardWriter writer(path, NumberTokenizer(vocab_size), {});
    const auto last = static_cast<uint32_t>(vocab_size - 1);
    writer.add(Split::train, Ids{last, 0}, 2);
    EXPECT_EQ(writer.commit().dtype, vocab_size == 65536 ? "u16" : "u32");
    EXPECT_EQ(read_all(ShardDirectory(path), Split::train), (Ids{last, 0, last}));
  }
}

TEST(Shards, TheManifestTellsWhatIsThere) {
  const Scratch scratch;
  const NumberTokenizer tokenizer(300);
  ShardWriter writer(scratch / "s", tokenizer, {});
  writer.add(Split::train, Ids{1, 2, 3}, 7);
  writer.add(Split::train, Ids{4}, 5);
  writer.add(Split::val, Ids{5, 6}, 6);
  writer.commit();
  const ShardDirectory shards(scratch / "s");
  const ShardManifest& manifest = shards.manifest();
  EXPECT_EQ(manifest.train.tokens, 6u);
  EXPECT_EQ(manifest.train.documents, 2u);
  EXPECT_EQ(manifest.train.text_bytes, 12u);
  EXPECT_EQ(manifest.val.tokens, 3u);
  EXPECT_EQ(manifest.vocab_size, 300);
  EXPECT_EQ(manifest.tokenizer_fingerprint, tokenizer.fingerprint());
  EXPECT_EQ(read_file(scratch / "s" / "tokenizer.test"), tokenizer.file_content());
  EXPECT_TRUE(manifest.eos && !manifest.bos);
}

TEST(Shards, SeveralThreadsRead) {
  const Scratch scratch;
  const Expected expected =
      write_random(scratch / "s", NumberTokenizer(300), small_files(4000, 16), 400, 60);
  const ShardDirectory shards(scratch / "s");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      for (int i = 0; i < 2000; ++i) {
        const uint64_t first = rng.below(expected.stream[0].size() - 50);
        Ids some(50);
        shards.read(Split::train, first, some);
        wrong += !std::equal(some.begin(), some.end(),
                             expected.stream[0].begin() + static_cast<ptrdiff_t>(first));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Shards, AnotherTokenizerIsRefused) {
  const Scratch scratch;
  write_random(scratch / "s", NumberTokenizer(300), {}, 4, 9);
  const ShardDirectory shards(scratch / "s");
  shards.require_tokenizer(NumberTokenizer(300).fingerprint(), "the checkpoint");
  const std::string other = NumberTokenizer(301).fingerprint();
  const std::string message =
      error_of(ErrorKind::data, [&] { shards.require_tokenizer(other, "run/step-1"); });
  EXPECT_TRUE(contains(message, other) && contains(message, NumberTokenizer(300).fingerprint()) &&
              contains(message, "run/step-1"))
      << message;
}

TEST(ShardWriter, NothingIsThereBeforeCommit) {
  const Scratch scratch;
  {
    ShardWriter writer(scratch / "s", NumberTokenizer(300), {});
    writer.add(Split::train, Ids{1}, 1);
    EXPECT_FALSE(fs::exists(scratch / "s"));
  }
  EXPECT_TRUE(fs::is_empty(scratch.path())) << "abandoned work is removed";
}

TEST(ShardWriter, RefusesAnEmptyInputAndStrangeIds) {
  const Scratch scratch;
  error_of(ErrorKind::data, [&] { ShardWriter(scratch / "s", NumberTokenizer(300), {}).commit(); });
  const std::string message = error_of(ErrorKind::data, [&] {
    ShardWriter(scratch / "s", NumberTokenizer(300), {}).add(Split::train, Ids{1, 300}, 1);
  });
  EXPECT_TRUE(contains(message, "300")) << message;
  EXPECT_TRUE(fs::is_empty(scratch.path()));
}

TEST(ShardWriter, ReplacesOnlyShardsAndOnlyWhenAsked) {
  const Scratch scratch;
  const NumberTokenizer tokenizer(300);
  const auto open = [&](const std::string& name, bool replace) {
    ShardWriter(scratch / name, tokenizer, {}, replace);
  };
  write_random(scratch / "shards", tokenizer, {}, 4, 9);
  fs::create_directory(scratch / "empty");
  fs::create_directory(scratch / "other");
  write_file_atomic(scratch / "other" / "notes.txt", "keep");
  write_file_atomic(scratch / "file", "keep");
  for (const std::string name : {"shards", "empty", "other", "file"}) {
    EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { open(name, false); }), name));
  }
  error_of(ErrorKind::usage, [&] { open("other", true); });
  error_of(ErrorKind::usage, [&] { open("file", true); });
  open("shards", true);
  open("empty", true);
  ShardWriter writer(scratch / "shards", tokenizer, {}, true);
  writer.add(Split::train, Ids{9}, 1);
  writer.commit();
  EXPECT_EQ(read_all(ShardDirectory(scratch / "shards"), Split::train), (Ids{9, 299}));
  write_file_atomic(scratch / "shards" / "notes.txt", "keep");
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { open("shards", true); }), "notes.txt"));
}

// Opens and reads everything, tokens and where documents begin.
void load(const fs::path& path) {
  const ShardDirectory shards(path);
  for (const Split split : {Split::train, Split::val}) {
    read_all(shards, split);
    for (uint64_t i = 0; i < shards.documents(split); ++i) shards.document_begin(split, i);
  }
}

class Damage : public testing::Test {
 protected:
  Damage() {
    write_random(path_, NumberTokenizer(300), small_files(60, 16), 14, 14);
    for (const auto& entry : fs::directory_iterator(path_))
      files_[entry.path()] = read_file(entry.path());
  }
  void expect_found(const fs::path& file, const std::string& how) {
    const std::string message = error_of(ErrorKind::data, [&] { load(path_); });
    EXPECT_TRUE(contains(message, file.string())) << how << ": " << message;
    const auto faults = verify_shards(path_);
    ASSERT_EQ(faults.size(), 1u) << file << " " << how;
    EXPECT_TRUE(contains(faults[0], file.string())) << how << ": " << faults[0];
    if (file.extension() == ".shard" && fs::exists(file)) {
      EXPECT_TRUE(contains(faults[0], ": byte ")) << faults[0];
    }
  }

  Scratch scratch_;
  fs::path path_ = scratch_ / "s";
  std::map<fs::path, std::string> files_;
};

TEST_F(Damage, EveryFlippedByteIsFound) {
  EXPECT_GE(files_.size(), 5u);
  for (const auto& [file, content] : files_) {
    for (const char mask : {'\x01', '\xFF'}) {
      for (size_t i = 0; i < content.size(); ++i) {
        std::string damaged = content;
        damaged[i] = static_cast<char>(damaged[i] ^ mask);
        write_plain(file, damaged);
        expect_found(file, "byte " + std::to_string(i));
      }
    }
    write_plain(file, content);
  }
}

TEST_F(Damage, EveryTruncationIsFound) {
  for (const auto& [file, content] : files_) {
    for (size_t size = 0; size < content.size(); ++size) {
      write_plain(file, content.substr(0, size));
      expect_found(file, "cut to " + std::to_string(size));
    }
    write_plain(file, content + "x");
    expect_found(file, "one byte more");
    write_plain(file, content);
  }
}

TEST_F(Damage, AMissingFileIsFound) {
  for (const auto& [file, content] : files_) {
    if (file.filename() == kShardManifestName) continue;
    fs::remove(file);
    expect_found(file, "missing");
    write_plain(file, content);
  }
  fs::remove(path_ / kShardManifestName);
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { verify_shards(path_); }), "not a shard directory"));
  error_of(ErrorKind::data, [&] { ShardDirectory(scratch_ / "nowhere"); });
}

TEST_F(Damage, AFaultyFrameTellsItsOffsetAndOthersAreStillRead) {
  const fs::path file = path_ / "train-00000.shard";
  std::string damaged = files_[file];
  damaged[shard_format::kHeaderBytes + 3] ^= 1;
  write_plain(file, damaged);
  const auto faults = verify_shards(path_);
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_TRUE(contains(faults[0], file.string() + ": byte 32: frame 0")) << faults[0];
  const ShardDirectory shards(path_);
  Ids some(8);
  shards.read(Split::train, 16, some);
  error_of(ErrorKind::data, [&] { shards.read(Split::train, 15, some); });
}

// Opening looks at no shard file: what is wrong in one is told when that one is first used.
TEST_F(Damage, FilesAreOpenedAtTheirFirstUse) {
  const fs::path file = path_ / "train-00001.shard";
  write_plain(file, std::string(files_[file].size(), 'x'));
  const ShardDirectory shards(path_);
  const uint64_t begin = shards.manifest().train.files[0].tokens;
  Ids some(5);
  shards.read(Split::train, begin - 5, some);
  const auto expect_refused = [&](const std::function<void()>& use) {
    const std::string message = error_of(ErrorKind::data, use);
    EXPECT_TRUE(contains(message, file.string() + ": byte 0: not a token shard")) << message;
  };
  expect_refused([&] { shards.read(Split::train, begin - 4, some); });
  expect_refused([&] { shards.document_begin(Split::train, shards.documents(Split::train) - 1); });
  expect_refused([&] { shards.document_of(Split::train, begin); });
  // A failure is not kept for good.
  write_plain(file, files_[file]);
  shards.read(Split::train, begin - 4, some);
}

TEST_F(Damage, ThreadsThatComeFirstTogetherOpenAFileOnce) {
  const Ids expected = read_all(ShardDirectory(path_), Split::train);
  for (int round = 0; round < 50; ++round) {
    const ShardDirectory shards(path_);
    std::atomic<int> wrong = 0;
    std::latch start(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        wrong += read_all(shards, Split::train) != expected;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace mythos
