// Masks, which say which tokens count as targets: from rows of JSON to batches.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "data/build/build_shards.h"
#include "data/build/marked_text.h"
#include "data/build/work_folder.h"
#include "data/exchange/interchange.h"
#include "data/read/masked_rows.h"
#include "data/sample/sampler.h"
#include "data/shards/manifest.h"
#include "data/shards/reshard.h"
#include "number_tokenizer.h"
#include "plain_file.h"
#include "scratch.h"

namespace mythos {
namespace {

using nlohmann::json;
using Split = ShardDirectory::Split;
using test::NumberTokenizer;

// The text with [ ] around the parts that count and { } around markup.
std::string shown(const MarkedText& marked) {
  std::string out;
  size_t begin = 0;
  for (const TextPart& part : marked.parts) {
    std::string text = marked.text.substr(begin, part.end - begin);
    if (part.markup) text = "{" + text + "}";
    out += part.counts ? "[" + text + "]" : text;
    begin = part.end;
  }
  EXPECT_EQ(begin, marked.text.size());
  return out;
}

TEST(MaskedRows, ConversationsFollowTheirTemplates) {
  const json messages = json::parse(R"([{"role": "system", "content": "Be brief."},
    {"role": "user", "content": " 2+2? "}, {"role": "assistant", "content": "4 "}])");
  const auto written = [&](const char* name) {
    MarkedText out;
    EXPECT_EQ(write_conversation(messages, read_chat_format(name), out), "");
    return shown(out);
  };
  EXPECT_EQ(written("chatml"),
            "{<|im_start|>system\n}Be brief.{<|im_end|>}\n{<|im_start|>user\n} 2+2? {<|im_end|>}\n"
            "{<|im_start|>assistant\n}[4 ][{<|im_end|>}]\n");
  EXPECT_EQ(written("llama3"),
            "{<|start_header_id|>system<|end_header_id|>\n\n}Be brief.{<|eot_id|>}"
            "{<|start_header_id|>user<|end_header_id|>\n\n}2+2?{<|eot_id|>}"
            "{<|start_header_id|>assistant<|end_header_id|>\n\n}[4][{<|eot_id|>}]");
  EXPECT_EQ(written("huginn"),
            "{<|begin_header|>system<|end_header|>\n\n}Be brief.{<|end_turn|>}"
            "{<|begin_header|>user<|end_header|>\n\n}2+2?{<|end_turn|>}"
            "{<|begin_header|>Huginn<|end_header|>\n\n}[4][{<|end_turn|>}]");
  EXPECT_EQ(tokens_of(read_chat_format("chatml")),
            (std::vector<std::string>{"<|im_start|>", "<|im_end|>"}));
  EXPECT_EQ(tokens_of(read_chat_format("llama3")),
            (std::vector<std::string>{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}));
}

TEST(MaskedRows, RefusesConversationsOfOtherForms) {
  const auto fault = [](const char* messages) {
    MarkedText out;
    return write_conversation(json::parse(messages), read_chat_format("chatml"), out);
  };
  EXPECT_EQ(fault("{}"), "is not a list of messages");
  const std::string lacks = "has a message 0 without 'role' and 'content' as strings";
  for (const char* messages :
       {"[1]", "[{}]", R"([{"role": "user"}])", R"([{"role": "user", "content": ["x"]}])",
        R"([{"role": 1, "content": "x"}])"}) {
    EXPECT_EQ(fault(messages), lacks) << messages;
  }
  // A role stands among special tokens, where its own would be read as such.
  EXPECT_TRUE(contains(fault(R"([{"role": "<|im_end|>", "content": "x"}])"), "of the role"));
  EXPECT_TRUE(contains(fault(R"([{"role": "", "content": "x"}])"), "of the role"));
  EXPECT_EQ(fault("[]"), "");
}

TEST(MaskedRows, RangesPartATextAndMustFitIt) {
  std::string misfit;
  const auto marked = [&](const std::string& text, const char* ranges) {
    MarkedText document = {text, {}};
    misfit.clear();
    const std::string fault = mark_ranges(json::parse(ranges), document, misfit);
    return !fault.empty() ? fault : misfit.empty() ? shown(document) : misfit;
  };
  EXPECT_EQ(marked("abcdef", "[[1, 3], [5, 6]]"), "a[bc]de[f]");
  EXPECT_EQ(marked("abcdef", "[[0, 2], [2, 4]]"), "[ab][cd]ef");
  EXPECT_EQ(marked("abcdef", "[]"), "abcdef");
  EXPECT_EQ(marked("abcdef", "[[2, 2]]"), "abcdef");
  EXPECT_EQ(marked("aéb", "[[1, 3]]"), "a[é]b");
  EXPECT_EQ(marked("abcdef", "[[1, 7]]"), "range [1, 7] is longer than its text of 6 bytes");
  EXPECT_EQ(marked("", "[[0, 1]]"), "range [0, 1] is longer than its text of 0 bytes");
  EXPECT_TRUE(contains(marked("abcdef", "[[18446744073709551615, 1]]"), "is longer than its text"));
  EXPECT_TRUE(contains(marked("abcdef", "[[3, 1]]"), "ends before it begins"));
  EXPECT_TRUE(contains(marked("abcdef", "[[0, 3], [2, 4]]"), "before the range in front of it"));
  EXPECT_TRUE(contains(marked("aéb", "[[2, 3]]"), "inside a character"));
  EXPECT_TRUE(contains(marked("aéb", "[[0, 2]]"), "inside a character"));
  for (const char* ranges : {"3", "\"0110\"", "[1, 2]", "[[1]]", "[[1, 2, 3]]", "[[-1, 2]]",
                             "[[0, 1.5]]", "[[\"0\", 1]]"}) {
    EXPECT_TRUE(contains(marked("abcdef", ranges), "is not a list of ranges")) << ranges;
  }
}

// Puts a space in front of every text, as SentencePiece vocabularies often do.
class SpaceTokenizer : public NumberTokenizer {
 public:
  SpaceTokenizer() : NumberTokenizer(300) {}
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const override {
    NumberTokenizer::encode(" " + std::string(text), ids, specials);
  }
};

TEST(PartEncoder, AnswersKeepTheirOneSpace) {
  const SpaceTokenizer spaces;
  const NumberTokenizer plain(300);
  const auto encoded = [](const Tokenizer& tokenizer, const char* completion) {
    MarkedText document;
    document.add("2+2=", false);
    document.add(completion, true);
    std::vector<uint32_t> ids, mask;
    PartEncoder(tokenizer, Specials::as_text, true, true)
        .encode(document.text, document.parts, ids, mask);
    std::string out(ids.begin(), ids.end());
    for (const uint32_t mark : mask) out += mark != 0 ? '1' : '0';
    return out;
  };
  EXPECT_EQ(encoded(plain, " 4"),
            "2+2= 4"
            "00000111");
  EXPECT_EQ(encoded(spaces, " 4"),
            " 2+2= 4"
            "000000111");
  EXPECT_EQ(encoded(spaces, "4"),
            " 2+2= 4"
            "000000111");
}

TEST(MarkedHash, TellsWhatCountsApart) {
  const std::vector<TextPart> a = {{2, false}, {4, true}}, b = {{2, true}, {4, true}},
                              c = {{3, false}, {4, true}};
  EXPECT_EQ(marked_hash(7, {}), 7u);
  EXPECT_NE(marked_hash(7, a), marked_hash(7, b));
  EXPECT_NE(marked_hash(7, a), marked_hash(7, c));
  EXPECT_EQ(marked_hash(7, a), marked_hash(7, a));
}

class Masks : public testing::Test {
 protected:
  ShardManifest build(const std::string& name, const std::string& rows,
                      const ReaderOptions& reader_options, BuildOptions options = {},
                      const Tokenizer* tokenizer = nullptr) {
    write_file_atomic(scratch_ / "rows.jsonl", rows);
    options.writer.masked = reader_options.masked();
    DocumentReader reader({(scratch_ / "rows.jsonl").string()}, reader_options);
    return build_shards(reader, tokenizer ? *tokenizer : tokenizer_, scratch_ / name, options)
        .manifest;
  }
  static ReaderOptions completions() {
    ReaderOptions options;
    options.rows = RowKind::completion;
    return options;
  }
  static ReaderOptions with_field() {
    ReaderOptions options;
    options.mask_field = "counts";
    return options;
  }
  static BuildOptions no_validation() {
    BuildOptions options;
    options.val_fraction = 0;
    return options;
  }
  // The split's tokens as text, with . for BOS and $ for EOS, and its marks below.
  std::string stream(const std::string& name, Split split = Split::train) const {
    const ShardDirectory shards(scratch_ / name);
    std::vector<uint32_t> ids(shards.tokens(split)), mask(ids.size());
    shards.read(split, 0, ids);
    shards.read_mask(split, 0, mask);
    std::string text, marks;
    for (size_t i = 0; i < ids.size(); ++i) {
      text += ids[i] == 299 ? '$' : ids[i] == 298 ? '.' : static_cast<char>(ids[i]);
      marks += mask[i] != 0 ? '1' : '0';
    }
    return text + " " + marks;
  }
  std::map<std::string, std::string> content(const std::string& name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(scratch_ / name))
      files[entry.path().filename().string()] = read_file(entry.path());
    return files;
  }
  // Sums with their results, of many lengths.
  static std::string sums(int rows) {
    std::string out;
    for (int i = 0; i < rows; ++i) {
      const int a = i * 7919 % 100000, b = i * i % 1000;
      out += strprintf(R"({"prompt": "%d+%d=", "completion": "%d"})", a, b, a + b) + "\n";
    }
    return out;
  }

  Scratch scratch_;
  NumberTokenizer tokenizer_{300};
};

TEST_F(Masks, OfACompletionOnlyItAndItsEndCount) {
  const std::string rows = R"({"prompt": "1+1=", "completion": "2"}
{"completion": "", "prompt": "x"}
{"prompt": "", "completion": "ab"}
)";
  const ShardManifest manifest = build("s", rows, completions(), no_validation());
  EXPECT_EQ(stream("s"),
            "1+1=2$x$ab$ 0000110"
            "1111");
  EXPECT_EQ(manifest.train.counted, 6u);
  EXPECT_EQ(manifest.train.text_bytes, 8u);
  EXPECT_TRUE(verify_shards(scratch_ / "s").empty());
  BuildOptions options = no_validation();
  options.writer.bos = true;
  options.writer.eos = false;
  build("bos", rows, completions(), options);
  EXPECT_EQ(stream("bos"),
            ".1+1=2.x.ab 00000100"
            "011");
}

TEST_F(Masks, AFieldSaysWhichBytesCount) {
  build("s", R"({"text": "question answer", "counts": [[9, 15]]}
{"text": "none", "counts": []}
{"text": "a b c", "counts": [[0, 1], [2, 3]]}
)",
        with_field(), no_validation());
  EXPECT_EQ(stream("s"),
            "question answer$none$a b c$ "
            "000000000"
            "1111111"
            "00000"
            "101000");
}

TEST_F(Masks, ConversationsCountTheAssistant) {
  ReaderOptions reader_options;
  reader_options.rows = RowKind::messages;
  reader_options.chat = read_chat_format("huginn");
  build("s",
        R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
)",
        reader_options, no_validation());
  const std::string text = stream("s");
  const std::string tail = "Huginn<|end_header|>\n\nho<|end_turn|>$ ";
  ASSERT_TRUE(contains(text, tail));
  const std::string marks = text.substr(text.find(tail) + tail.size());
  EXPECT_EQ(marks.find('1'), text.find(tail) + tail.find("ho"));
  EXPECT_EQ(marks.find('0', marks.find('1')), std::string::npos) << "the end of the turn counts";
}

TEST_F(Masks, ATextThatCountsWhollyStaysOfVersion1) {
  build("plain", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n", {}, no_validation());
  EXPECT_TRUE(contains(read_file(scratch_ / "plain" / "manifest.json"), "mythos.shards/1\""));
  EXPECT_FALSE(ShardDirectory(scratch_ / "plain").masked());
  EXPECT_EQ(stream("plain"), "one$two$ 11111111");
  build("masked", "{\"prompt\": \"1\", \"completion\": \"2\"}\n", completions(), no_validation());
  EXPECT_TRUE(contains(read_file(scratch_ / "masked" / "manifest.json"), "mythos.shards/2\""));
  EXPECT_TRUE(fs::exists(scratch_ / "masked" / "train-00000.mask"));
}

TEST_F(Masks, AMaskThatDoesNotFitItsTextIsAnError) {
  const auto message = [&](const std::string& row) {
    return error_of(ErrorKind::data, [&] {
      build("s", "{\"text\": \"fine\", \"counts\": []}\n" + row + "\n", with_field());
    });
  };
  const std::string longer = message(R"({"text": "abc", "counts": [[1, 4]]})");
  EXPECT_TRUE(contains(longer,
                       "rows.jsonl:2: the mask 'counts': range [1, 4] is longer than its "
                       "text of 3 bytes"))
      << longer;
  EXPECT_TRUE(contains(message(R"({"text": "abc", "counts": [[2, 1]]})"), "rows.jsonl:2"));
  EXPECT_TRUE(contains(message(R"({"text": "ä", "counts": [[0, 1]]})"), "inside a character"));
  EXPECT_FALSE(fs::exists(scratch_ / "s"));
}

TEST_F(Masks, MalformedRowsAreCountedOrRefused) {
  const auto documents = [&](const std::string& row, ReaderOptions reader_options) {
    const std::string good = R"({"text": "t", "counts": [], "prompt": "p", "completion": "c",
      "messages": []})";
    std::string rows = good + "\n" + row + "\n";
    rows.erase(rows.find('\n'), 1);  // the line break in the row above
    write_file_atomic(scratch_ / "rows.jsonl", rows);
    DocumentReader reader({(scratch_ / "rows.jsonl").string()}, reader_options);
    std::string text;
    while (reader.next(text)) {
    }
    reader_options.strict = true;
    DocumentReader strict({(scratch_ / "rows.jsonl").string()}, reader_options);
    const std::string message = error_of(ErrorKind::data, [&] {
      while (strict.next(text)) {
      }
    });
    EXPECT_EQ(reader.counts().documents, 1u) << row;
    EXPECT_EQ(reader.counts().bad_rows, 1u) << row;
    return message;
  };
  EXPECT_TRUE(contains(documents(R"({"text": "x"})", with_field()), "no field 'counts'"));
  EXPECT_TRUE(contains(documents(R"({"text": "x", "counts": 7})", with_field()),
                       "field 'counts' is not a list of ranges"));
  EXPECT_TRUE(contains(documents(R"({"prompt": "x"})", completions()), "no field 'completion'"));
  EXPECT_TRUE(contains(documents(R"({"prompt": 1, "completion": "x"})", completions()),
                       "field 'prompt' is not a string but number"));
  ReaderOptions messages;
  messages.rows = RowKind::messages;
  messages.chat = read_chat_format("chatml");
  EXPECT_TRUE(contains(documents(R"({"messages": "x"})", messages), "is not a list of messages"));
  EXPECT_TRUE(
      contains(documents(R"({"messages": [{"role": "user", "content": "\ud800"}]})", messages),
               "lone surrogate"));
}

TEST_F(Masks, OnlyRowsOfJsonHaveThem) {
  write_file_atomic(scratch_ / "a.txt", "text");
  write_file_atomic(scratch_ / "a.csv", "text\nx\n");
  for (const char* name : {"a.txt", "a.csv"}) {
    const std::string message = error_of(
        ErrorKind::usage, [&] { DocumentReader({(scratch_ / name).string()}, completions()); });
    EXPECT_TRUE(contains(message, "only rows of JSON say which targets count")) << message;
  }
}

TEST_F(Masks, TheBytesAreTheSameForAnyJobsAndAfterAFailure) {
  BuildOptions options;
  options.val_fraction = 0.2;
  options.save_seconds = 0;
  options.writer.tokens_per_file = 60000;
  options.writer.tokens_per_frame = 64;
  const std::string rows = sums(20000);
  const ShardManifest whole = build("whole", rows, completions(), options);
  EXPECT_GT(whole.train.files.size(), 2u);
  EXPECT_TRUE(verify_shards(scratch_ / "whole").empty());
  options.jobs = 3;
  build("jobs", rows, completions(), options);
  EXPECT_TRUE(content("jobs") == content("whole"));

  // Fails on one of the last completions, behind many saves.
  class Choking : public NumberTokenizer {
   public:
    Choking() : NumberTokenizer(300) {}
    void encode(std::string_view text, std::vector<uint32_t>& ids,
                Specials specials) const override {
      if (text.starts_with(std::to_string(19990 * 7919 % 100000) + "+"))
        fail(ErrorKind::internal, "choked");
      NumberTokenizer::encode(text, ids, specials);
    }
  };
  const Choking choking;
  error_of(ErrorKind::internal, [&] { build("killed", rows, completions(), options, &choking); });
  write_file_atomic(scratch_ / "rows.jsonl", rows);
  ASSERT_TRUE(fs::exists(WorkFolder::path_for(scratch_ / "killed")));
  DocumentReader reader({(scratch_ / "rows.jsonl").string()}, completions());
  options.writer.masked = true;
  const BuildSummary summary = build_shards(reader, tokenizer_, scratch_ / "killed", options);
  EXPECT_GT(summary.resumed.documents, 5000u);
  EXPECT_TRUE(content("killed") == content("whole"));
}

TEST_F(Masks, Append) {
  BuildOptions options = no_validation();
  build("masked", "{\"prompt\": \"1\", \"completion\": \"2\"}\n", completions(), options);
  build("plain", "{\"text\": \"x\"}\n", {}, options);
  options.append = true;
  const std::string message = error_of(ErrorKind::usage, [&] {
    build("plain", "{\"prompt\": \"1\", \"completion\": \"2\"}\n", completions(), options);
  });
  EXPECT_TRUE(contains(message, "has no masks")) << message;
  build("masked", "{\"prompt\": \"3\", \"completion\": \"4\"}\n", completions(), options);
  build("masked", "{\"text\": \"xyz\"}\n", {}, options);
  EXPECT_EQ(stream("masked"), "12$34$xyz$ 0110111111");
  EXPECT_TRUE(verify_shards(scratch_ / "masked").empty());
}

TEST_F(Masks, MergeSplitAndPartsKeepThem) {
  BuildOptions options = no_validation();
  build("a", sums(40), completions(), options);
  build("plain", "{\"text\": \"x\"}\n", {}, options);
  std::vector<ShardDirectory> inputs;
  inputs.emplace_back(scratch_ / "plain");
  inputs.emplace_back(scratch_ / "a");
  const ShardManifest merged = merge_shards(inputs, tokenizer_, scratch_ / "merged", false);
  EXPECT_TRUE(merged.masked);
  const auto both = [](const std::string& stream) {
    const size_t half = stream.size() / 2;
    return std::pair(stream.substr(0, half), stream.substr(half + 1));
  };
  const auto [text, marks] = both(stream("a"));
  EXPECT_EQ(stream("merged"), "x$" + text + " 11" + marks);

  split_into_parts(inputs[1], tokenizer_, scratch_ / "part", 3, false);
  std::vector<ShardDirectory> parts;
  for (size_t i = 0; i < 3; ++i) parts.emplace_back(part_name(scratch_ / "part", i));
  merge_shards(parts, tokenizer_, scratch_ / "joined", false);
  EXPECT_EQ(stream("joined"), stream("a"));

  const ShardManifest again = split_again(inputs[1], tokenizer_, scratch_ / "again", 0.3, false);
  EXPECT_GT(again.val.documents, 0u);
  EXPECT_EQ(again.train.counted + again.val.counted, inputs[1].counted(Split::train));
  EXPECT_TRUE(verify_shards(scratch_ / "again").empty());
}

TEST_F(Masks, ADocumentWithAMaskIsNotCut) {
  std::string answer;
  for (int i = 0; i < 400; ++i) answer += "word ";
  const ShardManifest manifest =
      build("s", R"({"prompt": "say it", "completion": ")" + answer + "\"}\n", completions());
  EXPECT_EQ(manifest.train.documents + manifest.val.documents, 1u);
}

TEST_F(Masks, ExportSaysThatItLeavesThemOut) {
  build("s", sums(3), completions(), no_validation());
  build("plain", "{\"text\": \"x\"}\n", {}, no_validation());
  EXPECT_TRUE(export_shards(ShardDirectory(scratch_ / "s"), tokenizer_, scratch_ / "out", {})
                  .left_out_masks);
  EXPECT_FALSE(export_shards(ShardDirectory(scratch_ / "plain"), tokenizer_, scratch_ / "out2", {})
                   .left_out_masks);
}

TEST_F(Masks, DamageIsFound) {
  build("s", sums(200), completions(), no_validation());
  const fs::path path = scratch_ / "s" / "train-00000.mask";
  const std::string good = read_file(path);
  for (const size_t offset : {size_t{0}, size_t{40}, good.size() / 2, good.size() - 60}) {
    std::string bad = good;
    bad[offset] ^= 1;
    write_plain(path, bad);
    const auto faults = verify_shards(scratch_ / "s");
    ASSERT_EQ(faults.size(), 1u) << offset;
    EXPECT_TRUE(contains(faults[0], "train-00000.mask")) << faults[0];
  }
  write_plain(path, good.substr(0, good.size() - 1));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { ShardDirectory(scratch_ / "s"); }), "cut off"));
  fs::remove(path);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { ShardDirectory(scratch_ / "s"); }),
                       "train-00000.mask"));
  // Marks of other tokens.
  write_plain(path, good);
  const auto with = [&](auto change) {
    ShardManifest manifest = read_shard_manifest(scratch_ / "s");
    change(manifest);
    write_plain(scratch_ / "s" / "manifest.json", format_manifest(manifest));
  };
  with([](ShardManifest& manifest) {
    manifest.train.counted += 1;
    manifest.train.files[0].mask.counted += 1;
  });
  const auto faults = verify_shards(scratch_ / "s");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_TRUE(contains(faults[0], "but the manifest says")) << faults[0];
  with([](ShardManifest& manifest) { manifest.train.counted += 1; });
  EXPECT_TRUE(contains(verify_shards(scratch_ / "s").at(0), "not the sums over its files"));
}

TEST_F(Masks, ShardsWithMasksAreReplaced) {
  build("s", sums(3), completions(), no_validation());
  BuildOptions options = no_validation();
  options.replace = true;
  build("s", "{\"text\": \"x\"}\n", {}, options);
  EXPECT_EQ(stream("s"), "x$ 11");
}

// Two directories of the same tokens, 0, 1, 2, … in documents of many lengths: one counts wholly,
// of the other the tokens of counts() count.
class MaskedBatches : public testing::Test {
 protected:
  static constexpr uint32_t kTokens = 5000;
  static bool counts(int64_t token) { return token % 7 < 2 || token / 100 % 3 == 1; }

  MaskedBatches() {
    for (const bool masked : {false, true}) {
      ShardWriterOptions options;
      options.eos = false;
      options.masked = masked;
      options.tokens_per_file = 1800;
      options.tokens_per_frame = 32;
      ShardWriter writer(scratch_ / (masked ? "masked" : "plain"), tokenizer_, options);
      std::vector<uint32_t> ids, mask;
      for (uint32_t first = 0, i = 0; first < kTokens; first += static_cast<uint32_t>(ids.size())) {
        ids.clear(), mask.clear();
        const uint32_t length = std::min(1 + i * 37 % 130, kTokens - first);
        for (uint32_t token = first; token < first + length; ++token, ++i) {
          ids.push_back(token);
          mask.push_back(counts(token));
        }
        writer.add(Split::train, ids, 1,
                   masked ? std::span<const uint32_t>(mask) : std::span<const uint32_t>());
      }
      writer.commit();
    }
    plain_ = std::make_unique<ShardDirectory>(scratch_ / "plain");
    masked_ = std::make_unique<ShardDirectory>(scratch_ / "masked");
  }

  // The batch of the plain data as masks would leave it.
  static Batch expected(Batch batch) {
    for (int64_t& target : batch.targets)
      if (target >= 0 && !counts(target)) target = -1;
    return batch;
  }
  static void expect_same(const Batch& a, const Batch& b) {
    EXPECT_EQ(a.inputs, b.inputs);
    EXPECT_EQ(a.targets, b.targets);
    EXPECT_EQ(a.document_begins, b.document_begins);
  }

  Scratch scratch_;
  NumberTokenizer tokenizer_{1 << 17};
  std::unique_ptr<ShardDirectory> plain_, masked_;
};

TEST_F(MaskedBatches, RangesReadAsWritten) {
  for (const uint64_t first : {0u, 1u, 31u, 1795u, 4000u}) {
    for (const uint64_t size : {1u, 32u, 33u, 700u}) {
      std::vector<uint32_t> mask(size);
      masked_->read_mask(Split::train, first, mask);
      for (uint64_t i = 0; i < size; ++i)
        ASSERT_EQ(mask[i], counts(static_cast<int64_t>(first + i))) << first + i;
    }
  }
  std::vector<uint32_t> beyond(2);
  error_of(ErrorKind::internal, [&] { masked_->read_mask(Split::train, kTokens - 1, beyond); });
  EXPECT_TRUE(verify_shards(scratch_ / "masked").empty());
}

TEST_F(MaskedBatches, BothPackingsLeaveOutWhatDoesNotCount) {
  for (const Packing packing : {Packing::contiguous, Packing::best_fit}) {
    for (const bool document_begins : {false, true}) {
      Sampler::Options options;
      options.batch_size = 3;
      options.seq_len = 48;
      options.packing = packing;
      options.document_begins = document_begins;
      Sampler plain({{plain_.get(), 1}}, Split::train, options);
      Sampler masked({{masked_.get(), 1}}, Split::train, options);
      std::set<int64_t> seen;
      for (int i = 0; i < 90; ++i) {
        const Batch batch = masked.next();
        expect_same(batch, expected(plain.next()));
        seen.insert(batch.targets.begin(), batch.targets.end());
      }
      EXPECT_GT(seen.size(), 1500u) << "most that count were targets";
    }
  }
}

TEST_F(MaskedBatches, AMixtureGoesOnWhereItWas) {
  Sampler::Options options;
  options.batch_size = 4;
  options.seq_len = 40;
  options.packing = Packing::best_fit;
  const std::vector<DataSource> sources = {{plain_.get(), 1}, {masked_.get(), 2}};
  const std::vector<DataSource> twins = {{plain_.get(), 1}, {plain_.get(), 2}};
  Sampler sampler(sources, Split::train, options), twin(twins, Split::train, options);
  bool left_out = false, kept = false;
  for (int i = 0; i < 25; ++i) {
    const Batch batch = sampler.next(), all = twin.next(), some = expected(all);
    for (int64_t row = 0; row < options.batch_size; ++row) {
      const auto targets = [&](const Batch& from) {
        const auto begin = from.targets.begin() + row * options.seq_len;
        return std::vector<int64_t>(begin, begin + options.seq_len);
      };
      EXPECT_TRUE(targets(batch) == targets(all) || targets(batch) == targets(some));
      kept |= targets(batch) == targets(all) && targets(all) != targets(some);
      left_out |= targets(batch) != targets(all);
    }
  }
  EXPECT_TRUE(kept && left_out) << "each source by its own mask";
  Sampler resumed(sources, Split::train, options);
  resumed.restore(sampler.cursor());
  for (int i = 0; i < 25; ++i) expect_same(resumed.next(), sampler.next());
  // Other masks are other data.
  error_of(ErrorKind::data, [&] { twin.restore(sampler.cursor()); });
}

TEST_F(MaskedBatches, WindowsInStreamOrderLeaveThemOutToo) {
  for (const int64_t stride : {0, 10}) {
    for (uint64_t window = 0; window < count_windows(kTokens, 48, stride); window += 5) {
      expect_same(sequential_batch(*masked_, Split::train, window, 5, 48, stride),
                  expected(sequential_batch(*plain_, Split::train, window, 5, 48, stride)));
    }
  }
}

TEST_F(MaskedBatches, ASplitWhoseTargetsAreAllMaskedIsRefused) {
  ShardWriterOptions options;
  options.masked = true;
  ShardWriter writer(scratch_ / "none", tokenizer_, options);
  const std::vector<uint32_t> ids(100, 7), mask(101, 0);
  writer.add(Split::train, ids, 1, mask);
  writer.commit();
  const ShardDirectory none(scratch_ / "none");
  const std::string message = error_of(ErrorKind::data, [&] {
    Sampler({{plain_.get(), 1}, {&none, 1}}, Split::train, {});
  });
  EXPECT_TRUE(contains(message, (scratch_ / "none").string())) << message;
  EXPECT_TRUE(contains(message, "every target of the train split is masked")) << message;
}

}  // namespace
}  // namespace mythos
