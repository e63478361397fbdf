#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/strings.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_file.h"
#include "data/shards/shard_file_writer.h"
#include "plain_file.h"
#include "scratch.h"
#include "shard_bytes.h"

// Files whose checksums are right and whose contents lie: golden files, patched, with the message
// that each gives.
namespace mythos {
namespace {

using Split = ShardDirectory::Split;
constexpr uint64_t kMax = ~uint64_t{0};

const fs::path kSource = MYTHOS_SOURCE_DIR;

// 23 tokens of u16 in frames of 8, 8 and 7; documents begin at 0, 5, 12, 13 and 20.
class BadShard : public testing::Test {
 protected:
  ShardBytes shard() const {
    return ShardBytes(read_file(kSource / "tests/fuzz/corpus/u16.shard"));
  }

  // The error behind the file's name.
  std::string error(ShardBytes bytes, uint64_t vocab_size = 300) {
    bytes.seal();
    write_plain(path_, bytes.content());
    const std::string message = error_of(ErrorKind::data, [&] { read(vocab_size); });
    EXPECT_TRUE(message.starts_with(path_.string() + ": byte ")) << message;
    return message.substr(std::min(message.size(), path_.string().size() + 2));
  }
  void read(uint64_t vocab_size) {
    const ShardFile file(path_);
    file.check_document_index();
    std::vector<std::byte> raw;
    for (uint64_t frame = 0; frame < file.frames(); ++frame)
      file.read_frame(frame, vocab_size, raw);
  }
  template <class T>
  std::string with(size_t offset, T value) {
    ShardBytes bytes = shard();
    bytes.set(offset, value);
    return error(bytes);
  }

  Scratch scratch_;
  fs::path path_ = scratch_ / "bad.shard";
};

TEST_F(BadShard, TheOriginalIsGood) {
  ShardBytes bytes = shard();
  const std::string original = bytes.content();
  bytes.seal();
  EXPECT_EQ(bytes.content(), original);
  write_plain(path_, original);
  read(300);
}

TEST_F(BadShard, Header) {
  EXPECT_EQ(with<uint64_t>(0, 0), "byte 0: not a token shard (wrong magic)");
  EXPECT_EQ(with<uint32_t>(8, 2), "byte 8: shard version 2; this program reads version 1");
  for (const uint32_t width : {0u, 1u, 3u, 8u, ~0u}) {
    EXPECT_EQ(with(12, width), strprintf("byte 12: tokens of %u bytes; expected 2 or 4", width));
  }
  for (const uint32_t tokens : {0u, (1u << 24) + 1, 1u << 31, ~0u}) {
    EXPECT_EQ(with(16, tokens),
              strprintf("byte 16: %u tokens per frame; expected 1 to 16777216", tokens));
  }
}

// Each value wraps to something plausible when it is multiplied by the size of an entry, or added
// to.
TEST_F(BadShard, CountsThatOverflow) {
  const size_t trailer = shard().trailer();
  const auto impossible = [&](const char* tokens, const char* documents, const char* frames) {
    return strprintf("byte %u: impossible counts: %s tokens, %s documents, %s frames of 8", trailer,
                     tokens, documents, frames);
  };
  const auto at = [&](size_t field, uint64_t value) { return with(trailer + field, value); };
  EXPECT_EQ(at(0, kMax), impossible("18446744073709551615", "5", "3"));
  EXPECT_EQ(at(0, 4), impossible("4", "5", "3"));
  EXPECT_EQ(at(0, 0), impossible("0", "5", "3"));
  EXPECT_EQ(at(0, 25), impossible("25", "5", "3"));
  EXPECT_EQ(at(0, 16), impossible("16", "5", "3"));
  EXPECT_EQ(at(8, kMax), impossible("23", "18446744073709551615", "3"));
  EXPECT_EQ(at(8, 5 + (uint64_t{1} << 61)), impossible("23", "2305843009213693957", "3"));
  EXPECT_EQ(at(8, 0), impossible("23", "0", "3"));
  EXPECT_EQ(at(16, 3 + (uint64_t{1} << 61)), impossible("23", "5", "2305843009213693955"));
  EXPECT_EQ(at(16, kMax / 24 + 4), impossible("23", "5", "768614336404564654"));
  EXPECT_EQ(at(16, 0), impossible("23", "5", "0"));
}

TEST_F(BadShard, IndexesOutsideTheFile) {
  const ShardBytes good = shard();
  const size_t trailer = good.trailer(), size = good.size();
  const auto unfit = [&](uint64_t table, uint64_t index) {
    return strprintf("byte %u: the indexes at %u and %u do not fit the file of %u bytes",
                     trailer + 24, table, index, size);
  };
  for (const uint64_t value : {kMax, kMax - 71, uint64_t{0}, uint64_t{31}, uint64_t{size},
                               uint64_t{1} << 63, good.table() + 24}) {
    EXPECT_EQ(with(trailer + 24, value), unfit(value, good.index()));
  }
  for (const uint64_t value : {kMax, uint64_t{0}, uint64_t{size}, good.index() - 8}) {
    EXPECT_EQ(with(trailer + 32, value), unfit(good.table(), value));
  }
  // Both moved by the same: their difference is right.
  ShardBytes moved = good;
  moved.set<uint64_t>(trailer + 24, good.table() - 24);
  moved.set<uint64_t>(trailer + 32, good.index() - 24);
  EXPECT_EQ(error(moved), unfit(good.table() - 24, good.index() - 24));
}

TEST_F(BadShard, FrameTable) {
  const ShardBytes good = shard();
  const size_t table = good.table();
  const auto entry = [&](size_t frame, const std::string& rest) {
    return strprintf("byte %u: frame %u: %s do not fit the file", table + 24 * frame, frame, rest);
  };
  EXPECT_EQ(with<uint64_t>(table, 33), entry(0, "25 bytes at 33 with 8 tokens"));
  EXPECT_EQ(with<uint64_t>(table, kMax),
            entry(0, "25 bytes at 18446744073709551615 with 8 tokens"));
  EXPECT_EQ(with<uint32_t>(table + 8, ~0u), entry(0, "4294967295 bytes at 32 with 8 tokens"));
  EXPECT_TRUE(contains(with<uint32_t>(table + 8, 1), "frame 1: ")) << "a gap behind frame 0";
  EXPECT_EQ(with<uint32_t>(table + 12, 7), entry(0, "25 bytes at 32 with 7 tokens"));
  EXPECT_TRUE(contains(with<uint32_t>(table + 48 + 12, 8), "frame 2: "));
  // Entries in another order.
  ShardBytes swapped = good;
  const auto first = good.number<uint64_t>(table), second = good.number<uint64_t>(table + 24);
  swapped.set(table, second);
  swapped.set(table + 24, first);
  EXPECT_TRUE(contains(error(swapped), "frame 0: "));
  // The last frame ends before the table.
  ShardBytes short_of = good;
  short_of.set<uint32_t>(table + 48 + 8, good.number<uint32_t>(table + 48 + 8) - 1);
  EXPECT_EQ(error(short_of),
            strprintf("byte %u: bytes between the last frame and the frame table", table - 1));
}

TEST_F(BadShard, DocumentIndex) {
  const ShardBytes good = shard();
  const auto with_begin = [&](size_t document, uint64_t begin) {
    const std::string message = with(good.index() + 8 * document, begin);
    EXPECT_EQ(message, strprintf("byte %u: document %u cannot begin at token %u",
                                 good.index() + 8 * document, document, begin));
  };
  with_begin(0, 1);
  with_begin(0, kMax);
  with_begin(1, 0);
  with_begin(2, 5);
  with_begin(4, 13);
  with_begin(4, 23);
  with_begin(4, kMax);
  with_begin(3, uint64_t{1} << 63);
}

TEST_F(BadShard, FramesOfAnotherContent) {
  const auto with_frame = [&](const std::string& frame) {
    ShardBytes bytes = shard();
    bytes.replace_frame(0, frame);
    return error(bytes);
  };
  const auto refused = [](const char* why) {
    return strprintf("byte 32: frame 0: does not decompress to 8 tokens (%s)", why);
  };
  EXPECT_EQ(with_frame(zstd_frame(std::string(14, 1))), refused("another size is stated"));
  EXPECT_EQ(with_frame(zstd_frame(std::string(18, 1))), refused("another size is stated"));
  EXPECT_EQ(with_frame(zstd_frame(std::string(64 << 20, 1))), refused("another size is stated"));
  EXPECT_EQ(with_frame(zstd_frame(std::string(14, 1), false)), refused("short"));
  EXPECT_EQ(with_frame(zstd_frame(std::string(18, 1), false)),
            refused("Destination buffer is too small"));
  EXPECT_EQ(with_frame(zstd_frame(std::string(64 << 20, 1), false)),
            refused("Destination buffer is too small"));
  EXPECT_EQ(with_frame("not a frame"), refused("not a zstd frame"));
  EXPECT_EQ(with_frame(""), refused("not a zstd frame"));
  // Sixteen bytes are stated; the frame has others. The size is a byte behind magic and descriptor.
  std::string lie = zstd_frame(std::string(64, 1));
  ASSERT_EQ(lie[5], 64);
  lie[5] = 16;
  EXPECT_TRUE(contains(with_frame(lie), "frame 0: does not decompress to 8 tokens ("));
  lie = zstd_frame(std::string(8, 1));
  lie[5] = 16;
  EXPECT_TRUE(contains(with_frame(lie), "frame 0: does not decompress to 8 tokens ("));
  // A good frame, and another behind it.
  const std::string whole = zstd_frame(std::string(16, 1));
  EXPECT_TRUE(contains(with_frame(whole + whole), "frame 0: does not decompress to 8 tokens ("));
}

TEST_F(BadShard, IdsOutsideTheVocabulary) {
  EXPECT_EQ(error(shard(), 299),
            strprintf("byte %u: frame 2: token id 299 is outside the vocabulary of 299",
                      shard().number<uint64_t>(shard().table() + 48)));
  ShardBytes bytes = shard();
  bytes.replace_frame(1, zstd_frame(std::string(16, '\xFF')));
  EXPECT_TRUE(contains(error(bytes), "frame 1: token id 65535 is outside the vocabulary of 300"));
}

// A directory whose manifest is made by hand, with its checksum right.
class BadDirectory : public testing::Test {
 protected:
  BadDirectory() {
    fs::copy(kSource / "tests/golden/shards-v1", path_);
    manifest_ = read_file(path_ / kShardManifestName);
  }
  std::string replaced(const std::string& from, const std::string& to) const {
    EXPECT_TRUE(contains(manifest_, from)) << from;
    std::string text = manifest_;
    return seal_manifest(text.replace(text.find(from), from.size(), to));
  }
  // The error of reading everything, which verify tells too. Without the directory's name.
  std::string error() {
    const std::string message = error_of(ErrorKind::data, [&] {
      const ShardDirectory shards(path_);
      for (const Split split : {Split::train, Split::val}) {
        std::vector<uint32_t> ids(shards.tokens(split));
        shards.read(split, 0, ids);
      }
    });
    const auto faults = verify_shards(path_);
    EXPECT_TRUE(std::find(faults.begin(), faults.end(), message) != faults.end()) << message;
    EXPECT_TRUE(message.starts_with(path_.string() + "/")) << message;
    return message.substr(std::min(message.size(), path_.string().size() + 1));
  }
  std::string error(const std::string& manifest) {
    write_plain(path_ / kShardManifestName, manifest);
    return error();
  }

  Scratch scratch_;
  fs::path path_ = scratch_ / "shards";
  std::string manifest_;
};

TEST_F(BadDirectory, AManifestEditedByHand) {
  std::string edited = manifest_;
  edited.replace(edited.find("\"eos\": true"), 11, "\"eos\": false");
  EXPECT_TRUE(contains(error(edited), "manifest_checksum is "));
  EXPECT_TRUE(contains(error(edited), "it was edited or damaged"));
  EXPECT_EQ(error(manifest_.substr(0, manifest_.rfind(",")) + "\n}\n"),
            "manifest.json: 'manifest_checksum' is missing: the file is cut off or damaged");
}

TEST_F(BadDirectory, ManifestValues) {
  const auto key = [&](const std::string& from, const std::string& to) {
    return error(replaced(from, to));
  };
  EXPECT_EQ(key("\"u16\"", "\"u8\""), "manifest.json: 'dtype' is neither u16 nor u32");
  EXPECT_EQ(key("\"vocab_size\": ", "\"vocab_size\": 9999"),
            "manifest.json: 'vocab_size' does not fit the dtype u16");
  EXPECT_EQ(key("\"vocab_size\": ", "\"vocab_size\": -"),
            "manifest.json: 'vocab_size' is not a whole number of 0 or more");
  EXPECT_EQ(key("\"tokens\": ", "\"tokens\": 1"),
            "manifest.json: 'train' has counts that are not the sums over its files");
  EXPECT_EQ(key("\"tokens\": ", "\"tokens\": 99999999999999999999"),
            "manifest.json: 'tokens' is not a whole number of 0 or more");
  EXPECT_EQ(key("\"documents\": ", "\"documents\": \"4\", \"x\": "),
            "manifest.json: 'documents' is not a whole number of 0 or more");
  EXPECT_EQ(key("\"bos\": false", "\"bos\": 0"), "manifest.json: 'bos' is not true or false");
  EXPECT_EQ(key("\"val\": {", "\"other\": {"), "manifest.json: 'val' is missing");
}

// Two files whose counts add up to less than each has.
TEST_F(BadDirectory, SumsThatOverflow) {
  ShardManifest manifest = read_shard_manifest(path_);
  manifest.train.files[0].tokens = kMax - 4;
  manifest.train.files[1].tokens = 15;
  manifest.train.tokens = 10;
  EXPECT_EQ(error(format_manifest(manifest)), "manifest.json: 'train' has impossible counts");
}

TEST_F(BadDirectory, CountsThatAreNotTheFiles) {
  ShardManifest manifest = read_shard_manifest(path_);
  manifest.train.tokens += 1;
  manifest.train.files[0].tokens += 1;
  EXPECT_TRUE(contains(error(format_manifest(manifest)), "train-00000.shard: byte "));
  EXPECT_TRUE(contains(
      error(), "byte 250: 31 tokens of 2 bytes in 3 documents, but the manifest says 32 of 2 in 3"))
      << error();
}

TEST_F(BadDirectory, NamesThatLeadElsewhere) {
  const ShardManifest good = read_shard_manifest(path_);
  for (const std::string name :
       {"../shards/train-00000.shard", "/etc/passwd", "a/b", "..", ".", "", ".hidden"}) {
    ShardManifest manifest = good;
    manifest.train.files[0].name = name;
    EXPECT_EQ(error(format_manifest(manifest)),
              "manifest.json: 'name' is not a plain file name: '" + name + "'");
    manifest = good;
    manifest.tokenizer_file = name;
    EXPECT_EQ(error(format_manifest(manifest)),
              "manifest.json: 'file' is not a plain file name: '" + name + "'");
  }
}

TEST_F(BadDirectory, TokensOfAnotherWidth) {
  ShardFileWriter writer(path_ / "wide.shard", 4, 8, 3);
  writer.begin_document();
  writer.append(std::vector<uint32_t>{1, 2, 3});
  ShardManifest manifest = read_shard_manifest(path_);
  manifest.val.files = {writer.finish()};
  manifest.val.tokens = 3;
  manifest.val.documents = 1;
  EXPECT_TRUE(contains(error(format_manifest(manifest)),
                       "3 tokens of 4 bytes in 1 documents, but the manifest says 3 of 2 in 1"));
}

// A shard may lie elsewhere and be linked to; what is no file is refused, not waited for.
TEST_F(BadDirectory, LinksAndPipes) {
  const fs::path file = path_ / "train-00000.shard";
  fs::rename(file, scratch_ / "elsewhere");
  fs::create_symlink(scratch_ / "elsewhere", file);
  EXPECT_EQ(verify_shards(path_), std::vector<std::string>{});
  fs::remove(scratch_ / "elsewhere");
  EXPECT_EQ(error(), "train-00000.shard: the shard is missing; the manifest names it");
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_EQ(error(), "train-00000.shard: not a regular file");
  fs::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(error(), "train-00000.shard: not a regular file");
  fs::remove(file);
  fs::create_symlink("/dev/zero", file);
  EXPECT_EQ(error(), "train-00000.shard: not a regular file");
}

TEST_F(BadDirectory, AManifestThatNestsDeeply) {
  for (const std::string open : {"[", "{\"a\":"}) {
    std::string deep = "{\"a\":";
    for (int i = 0; i < 500'000; ++i) deep += open;
    EXPECT_TRUE(contains(error(deep), "manifest.json: byte ")) << open;
    EXPECT_TRUE(contains(error(), ": not valid JSON: the file is damaged")) << open;
  }
  const std::string closed =
      "{\"a\":" + std::string(500'000, '[') + std::string(500'000, ']') + "}";
  EXPECT_EQ(error(closed), "manifest.json: 'schema' is missing");
}

TEST_F(BadDirectory, AHugeManifest) {
  fs::resize_file(path_ / kShardManifestName, uintmax_t{1} << 40);
  EXPECT_EQ(error(),
            "manifest.json: the file has 1099511627776 bytes; a manifest has at most 67108864");
  fs::remove(path_ / kShardManifestName);
  ASSERT_EQ(mkfifo((path_ / kShardManifestName).c_str(), 0600), 0);
  EXPECT_EQ(error(), "manifest.json: not a regular file");
}

}  // namespace
}  // namespace mythos
