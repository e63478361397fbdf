#include "data/exchange/interchange.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "number_tokenizer.h"
#include "scratch.h"
#include "shard_bytes.h"

namespace mythos {
namespace {

using Ids = std::vector<uint32_t>;
using Split = ShardDirectory::Split;
using test::NumberTokenizer;

class NoEos : public NumberTokenizer {
 public:
  explicit NoEos(int64_t vocab_size) : NumberTokenizer(vocab_size) {
    set_boundaries(bos_id(), std::nullopt);
  }
};

void write(const fs::path& path, const Tokenizer& tokenizer, const ShardWriterOptions& options) {
  ShardWriter writer(path, tokenizer, options);
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    Ids ids(rng.below(40));
    // Neither BOS nor EOS inside.
    for (uint32_t& id : ids)
      id = static_cast<uint32_t>(rng.below(static_cast<uint64_t>(tokenizer.vocab_size()) - 2));
    uint64_t text_bytes = 0;
    for (const uint32_t id : ids) text_bytes += tokenizer.token_bytes(id).size();
    writer.add(i % 5 ? Split::train : Split::val, ids, text_bytes);
  }
  writer.commit();
}

std::map<std::string, std::string> contents(const fs::path& directory) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::directory_iterator(directory))
    found[entry.path().filename()] = read_file(entry.path());
  return found;
}

ImportOptions import_of(const fs::path& directory, const ExportOptions& exported) {
  ImportOptions options;
  options.format = exported.format;
  options.boundary = exported.boundary;
  for (const auto& [name, content] : contents(directory)) {
    if (name.ends_with(".bin"))
      (name.starts_with("train") ? options.train : options.val).push_back(directory / name);
  }
  return options;
}

struct Case {
  int64_t vocab_size;
  bool bos, eos;
  ExportOptions exported;
};

// Out and in gives the same shards, and out again the same files, byte for byte.
TEST(Interchange, ThereAndBack) {
  const LlmcBoundary begin, end = {{}, true};
  for (const Case& c : {Case{300, false, true, {TokenFormat::llmc, "", begin, 500}},
                        Case{300, false, true, {TokenFormat::llmc, "u32", end, 300}},
                        Case{300, true, true, {TokenFormat::llmc, "", begin}},
                        Case{70000, false, true, {TokenFormat::llmc, "", end}},
                        Case{300, false, true, {TokenFormat::megatron, "", {}}},
                        Case{300, true, true, {TokenFormat::megatron, "i32", {}}},
                        Case{300, true, false, {TokenFormat::megatron, "", {}}},
                        Case{65510, false, false, {TokenFormat::megatron, "u16", {}}},
                        Case{70000, false, true, {TokenFormat::megatron, "", {}}}}) {
    const Scratch scratch;
    const NumberTokenizer tokenizer(c.vocab_size);
    ShardWriterOptions writer_options;
    writer_options.bos = c.bos;
    writer_options.eos = c.eos;
    write(scratch / "shards", tokenizer, writer_options);
    export_shards(ShardDirectory(scratch / "shards"), tokenizer, scratch / "out", c.exported);
    ImportOptions imported = import_of(scratch / "out", c.exported);
    imported.bos = c.bos;
    import_shards(scratch / "back", tokenizer, imported);
    EXPECT_EQ(contents(scratch / "back"), contents(scratch / "shards"));
    export_shards(ShardDirectory(scratch / "back"), tokenizer, scratch / "again", c.exported);
    EXPECT_EQ(contents(scratch / "again"), contents(scratch / "out"));
  }
}

// Writes two documents of 30 and one of 100 tokens, EOS included, and one of 40 for validation.
void write_lengths(const fs::path& path, const NumberTokenizer& tokenizer) {
  ShardWriter writer(path, tokenizer, {});
  for (const size_t length : {29, 29, 99}) writer.add(Split::train, Ids(length, 7), 0);
  writer.add(Split::val, Ids(39, 7), 0);
  writer.commit();
}

int64_t tokens_in_header(const fs::path& path) {
  const std::string bytes = read_file(path);
  return shard_format::get<uint32_t>(reinterpret_cast<const std::byte*>(&bytes[8]));
}

// The greatest size of a file is a limit of the format: what would go beyond begins a file of its
// own, and what is longer than that goes on in the next one.
TEST(Interchange, FilesOfTheGreatestSize) {
  const Scratch scratch;
  const NumberTokenizer tokenizer(300);
  write_lengths(scratch / "shards", tokenizer);
  const ShardDirectory shards(scratch / "shards");
  const auto sizes = [&](uint64_t tokens_per_file, uint64_t most, bool at_end) {
    ExportOptions options;
    options.tokens_per_file = tokens_per_file;
    options.most_tokens = most;
    options.boundary.at_end = at_end;
    const ExportSummary summary = export_shards(shards, tokenizer, scratch / "out", options);
    EXPECT_EQ(summary.tokens, 200u);
    std::vector<int64_t> found;
    for (const std::string& name : summary.files)
      found.push_back(tokens_in_header(scratch / "out" / name));
    import_shards(scratch / "back", tokenizer, import_of(scratch / "out", options));
    for (const Split split : {Split::train, Split::val}) {
      const ShardDirectory back(scratch / "back");
      EXPECT_EQ(back.documents(split), shards.documents(split));
      EXPECT_EQ(back.document_begin(split, 1), shards.document_begin(split, 1));
    }
    fs::remove_all(scratch / "out");
    fs::remove_all(scratch / "back");
    return found;
  };
  using Sizes = std::vector<int64_t>;
  for (const bool at_end : {false, true}) {
    EXPECT_EQ(sizes(1000, 1000, at_end), (Sizes{160, 40}));
    EXPECT_EQ(sizes(160, 160, at_end), (Sizes{160, 40}));
    EXPECT_EQ(sizes(159, 159, at_end), (Sizes{60, 100, 40}));
    EXPECT_EQ(sizes(50, 159, at_end), (Sizes{60, 100, 40}));
    EXPECT_EQ(sizes(99, 99, at_end), (Sizes{60, 99, 1, 40}));
    EXPECT_EQ(sizes(30, 45, at_end), (Sizes{30, 30, 45, 45, 10, 40}));
    EXPECT_EQ(sizes(1, 1, at_end).size(), 200u);
  }
}

TEST(Interchange, DocumentsLongerThanASequenceOfMegatron) {
  const Scratch scratch;
  const NumberTokenizer tokenizer(300);
  write_lengths(scratch / "shards", tokenizer);
  ExportOptions options;
  options.format = TokenFormat::megatron;
  options.most_tokens = 45;
  export_shards(ShardDirectory(scratch / "shards"), tokenizer, scratch / "out", options);
  std::string expected("MMIDIDX\0\0\1\0\0\0\0\0\0\0\x08", 18);
  for (const uint64_t count : {5, 4}) shard_format::put<uint64_t>(expected, count);
  for (const uint32_t length : {30, 30, 45, 45, 10}) shard_format::put<uint32_t>(expected, length);
  for (const uint64_t token : {0, 30, 60, 105, 150})
    shard_format::put<uint64_t>(expected, 2 * token);
  for (const uint64_t sequence : {0, 1, 2, 5}) shard_format::put<uint64_t>(expected, sequence);
  EXPECT_EQ(read_file(scratch / "out/train.idx"), expected);
  import_shards(scratch / "back", tokenizer, import_of(scratch / "out", options));
  const ShardDirectory back(scratch / "back");
  EXPECT_EQ(back.documents(Split::train), 3u);
  EXPECT_EQ(back.document_begin(Split::train, 2), 60u);
  EXPECT_EQ(back.tokens(Split::train), 160u);
}

TEST(Interchange, TheVocabularyDecidesTheType) {
  const auto first_bytes = [](int64_t vocab_size, TokenFormat format, size_t count) {
    const Scratch scratch;
    write(scratch / "s", NumberTokenizer(vocab_size), {});
    export_shards(ShardDirectory(scratch / "s"), NumberTokenizer(vocab_size), scratch / "out",
                  {format, "", {}});
    const bool llmc = format == TokenFormat::llmc;
    return read_file(scratch / "out" / (llmc ? "train_000000.bin" : "train.idx")).substr(0, count);
  };
  const auto llmc = [](uint32_t magic, uint32_t version) {
    std::string bytes;
    shard_format::put(bytes, magic);
    shard_format::put(bytes, version);
    return bytes;
  };
  EXPECT_EQ(first_bytes(65536, TokenFormat::llmc, 8), llmc(20240520, 1));
  EXPECT_EQ(first_bytes(65537, TokenFormat::llmc, 8), llmc(20240801, 7));
  EXPECT_EQ(first_bytes(65499, TokenFormat::megatron, 18).back(), 8);
  EXPECT_EQ(first_bytes(65500, TokenFormat::megatron, 18).back(), 4);
}

TEST(Interchange, ATypeThatIsTooSmallIsRefused) {
  const Scratch scratch;
  const NumberTokenizer tokenizer(70000);
  write(scratch / "s", tokenizer, {});
  for (const TokenFormat format : {TokenFormat::llmc, TokenFormat::megatron}) {
    const std::string message = error_of(ErrorKind::usage, [&] {
      export_shards(ShardDirectory(scratch / "s"), tokenizer, scratch / "out", {format, "u16", {}});
    });
    EXPECT_TRUE(
        message.starts_with("--dtype u16 holds ids up to 65,535, but the vocabulary has "
                            "70,000.\nLeave out --dtype: --format "))
        << message;
  }
  EXPECT_FALSE(fs::exists(scratch / "out"));
}

TEST(Interchange, ATokenizerWithoutEos) {
  const Scratch scratch;
  const NoEos tokenizer(300);
  ShardWriterOptions options;
  options.eos = false;
  write(scratch / "s", tokenizer, options);
  const ShardDirectory shards(scratch / "s");
  EXPECT_TRUE(contains(
      error_of(ErrorKind::usage, [&] { export_shards(shards, tokenizer, scratch / "out", {}); }),
      "--boundary-token"));
  export_shards(shards, tokenizer, scratch / "out", {TokenFormat::megatron, "", {}});
  ImportOptions imported;
  imported.format = TokenFormat::megatron;
  imported.train = {scratch / "out" / "train"};
  imported.val = {scratch / "out" / "val"};
  import_shards(scratch / "back", tokenizer, imported);
  EXPECT_EQ(contents(scratch / "back"), contents(scratch / "s"));
}

// Huge and negative numbers in an index of Megatron; the sums must not wrap.
TEST(Megatron, ForgedIndexes) {
  const Scratch scratch;
  const NumberTokenizer tokenizer(300);
  write(scratch / "s", tokenizer, {});
  export_shards(ShardDirectory(scratch / "s"), tokenizer, scratch / "out",
                {TokenFormat::megatron, "", {}});
  const fs::path index = scratch / "out" / "train.idx";
  const std::string good = read_file(index);
  ImportOptions options;
  options.format = TokenFormat::megatron;
  options.train = {index};
  const auto error = [&](size_t offset, auto value) {
    ShardBytes bytes(good);
    bytes.set(offset, value);
    write_file_atomic(index, bytes.content());
    const std::string message =
        error_of(ErrorKind::data, [&] { import_shards(scratch / "x", tokenizer, options); });
    EXPECT_FALSE(fs::exists(scratch / "x"));
    return message.substr(std::min(message.size(), index.string().size() + 2));
  };
  const uint64_t documents = ShardDirectory(scratch / "s").documents(Split::train);
  const size_t pointers = 34 + 4 * documents, ends = pointers + 8 * documents;
  EXPECT_TRUE(contains(error(0, uint64_t{0}), "byte 0: not an index of Megatron"));
  EXPECT_TRUE(contains(error(9, uint64_t{2}), "byte 9: version 2"));
  EXPECT_TRUE(contains(error(17, uint8_t{0}), "byte 17: unknown type code 0; expected 1 to 8"));
  EXPECT_TRUE(contains(error(17, uint8_t{9}), "byte 17: unknown type code 9; expected 1 to 8"));
  for (const uint64_t value : {~uint64_t{0}, documents + (uint64_t{1} << 62), uint64_t{0},
                               ~uint64_t{0} / 12 + 1, documents + 1}) {
    EXPECT_TRUE(contains(error(18, value), "byte 18: ")) << value;
    EXPECT_TRUE(contains(error(26, value + 2), "byte 18: ")) << value;
  }
  EXPECT_TRUE(contains(error(34, uint32_t{0x80000000}), "byte 34: sequence 0: -2147483648 tokens"));
  EXPECT_TRUE(contains(error(34, uint32_t{0x7FFFFFFF}), "byte 34: sequence 0: 2147483647 tokens"));
  for (const uint64_t value : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 32})
    EXPECT_TRUE(contains(error(pointers, value), "byte 34: sequence 0: ")) << value;
  EXPECT_TRUE(contains(error(ends, uint64_t{1}), "entry 0 of the document index is 1"));
  EXPECT_TRUE(contains(error(ends + 8, ~uint64_t{0}), "entry 1 of the document index is -1"));
  EXPECT_TRUE(contains(error(ends + 16, uint64_t{0}), "entry 2 of the document index is 0"));
  EXPECT_TRUE(contains(error(ends + 8 * documents, documents - 1), "of the document index is"));
}

}  // namespace
}  // namespace mythos
