#include "data/readers.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <map>

#include "compress.h"
#include "plain_file.h"
#include "scratch.h"

namespace mythos {
namespace {

using Documents = std::vector<std::string>;

Documents read_all(const std::vector<std::string>& paths, ReaderOptions options = {}) {
  DocumentReader reader(paths, std::move(options));
  Documents documents;
  for (std::string text; reader.next(text);) documents.push_back(text);
  return documents;
}

class Readers : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    write_plain(scratch_ / name, content);
    return (scratch_ / name).string();
  }
  Scratch scratch_;
};

ReaderOptions separated(const std::string& separator) {
  ReaderOptions options;
  options.separator = separator;
  return options;
}

TEST_F(Readers, ATextFileIsOneDocument) {
  const std::string text("a\n\nb\0c\xFF\n", 8);
  EXPECT_EQ(read_all({file("a.txt", text)}), Documents{text});
  EXPECT_EQ(read_all({file("empty", "")}), Documents{""});
  EXPECT_EQ(read_all({file("one", "1"), file("two", "2")}), (Documents{"1", "2"}));
}

TEST_F(Readers, ASeparatorEndsDocuments) {
  EXPECT_EQ(read_all({file("f", "one\n%\ntwo\n%\n")}, separated("\n%\n")),
            (Documents{"one", "two"}));
  EXPECT_EQ(read_all({file("f", "one\n%\ntwo\n")}, separated("\n%\n")),
            (Documents{"one", "two\n"}));
  EXPECT_EQ(read_all({file("f", "\n%\n\n%\nx")}, separated("\n%\n")), (Documents{"", "", "x"}));
  EXPECT_EQ(read_all({file("f", "")}, separated("\n%\n")), Documents{});
  EXPECT_EQ(read_all({file("f", std::string("a\0b", 3))}, separated(std::string(1, '\0'))),
            (Documents{"a", "b"}));
}

// The reader looks at 8 bytes, then takes a mebibyte at a time; separators fall on and around both.
TEST_F(Readers, SeparatorsAcrossReads) {
  for (const size_t length : {4, 5, 6, 7, 8, 1048578, 1048581, 1048582, 1048583, 1048584}) {
    const std::string first(length, 'x'), last(3000000, 'y');
    EXPECT_EQ(read_all({file("f", first + "<|>" + last)}, separated("<|>")),
              (Documents{first, last}));
  }
}

TEST_F(Readers, JsonLinesByName) {
  const std::string rows =
      "{\"text\": \"a\\n\\u00e9\"}\n\n  \n{\"id\": 1, \"text\": \"\"}\r\n{\"text\":\"z\"}";
  EXPECT_EQ(read_all({file("f.jsonl", rows)}), (Documents{"a\né", "", "z"}));
  EXPECT_EQ(read_all({file("f.ndjson", rows)}), (Documents{"a\né", "", "z"}));
  EXPECT_EQ(read_all({file("f.jsonl.zst", zstd_of(rows))}), (Documents{"a\né", "", "z"}));
  EXPECT_EQ(read_all({file("f.txt", rows)}), Documents{rows});
  ReaderOptions options;
  options.format = InputFormat::jsonl;
  EXPECT_EQ(read_all({file("f.txt", rows)}, options), (Documents{"a\né", "", "z"}));
  options.format = InputFormat::text;
  EXPECT_EQ(read_all({file("f.jsonl", rows)}, options), Documents{rows});
}

TEST_F(Readers, MalformedRowsAreCountedOrStop) {
  const std::string path = file("f.jsonl",
                                "{\"text\": \"a\"}\n{\"text\": \"b\"\nnull\n{\"txt\": \"c\"}\n"
                                "{\"text\": 5}\n{\"text\": \"\xFF\"}\n{\"text\": \"d\"}\n");
  ReaderOptions options;
  DocumentReader reader({path}, options);
  Documents documents;
  testing::internal::CaptureStderr();
  for (std::string text; reader.next(text);) documents.push_back(text);
  const std::string warning = testing::internal::GetCapturedStderr();
  EXPECT_EQ(documents, (Documents{"a", "d"}));
  EXPECT_EQ(reader.counts().bad_rows, 5u);
  EXPECT_TRUE(contains(warning, path + ":2: not valid JSON at column 13")) << warning;
  EXPECT_EQ(std::count(warning.begin(), warning.end(), '\n'), 1) << warning;
  options.strict = true;
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({path}, options); }), path + ":2: "));
}

TEST_F(Readers, AWrongFieldIsNamedWithASuggestion) {
  ReaderOptions options;
  options.field = "txt";
  options.strict = true;
  const std::string path = file("f.jsonl", "{\"text\": \"a\", \"id\": 1}\n");
  const std::string message = error_of(ErrorKind::data, [&] { read_all({path}, options); });
  EXPECT_TRUE(contains(message, "no field 'txt'; the row has: id, text. Did you mean 'text'?"))
      << message;
}

TEST_F(Readers, EveryCompressionOfEveryFormat) {
  const std::string rows = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  for (const auto& [suffix, compress] : std::map<std::string, std::string (*)(const std::string&)>{
           {".zst", zstd_of}, {".gz", gzip_of}, {".xz", xz_of}}) {
    EXPECT_EQ(read_all({file("f.jsonl" + suffix, compress(rows))}), (Documents{"a", "b"}));
    EXPECT_EQ(read_all({file("f.ndjson" + suffix, compress(rows))}), (Documents{"a", "b"}));
    EXPECT_EQ(read_all({file("f.txt" + suffix, compress("a%b"))}, separated("%")),
              (Documents{"a", "b"}));
    EXPECT_TRUE(contains(
        error_of(ErrorKind::data, [&] { read_all({file("f.parquet" + suffix, compress("x"))}); }),
        "Parquet inside"));
  }
}

TEST_F(Readers, ParquetByContentIsNotTakenForText) {
  for (const std::string name : {"data", "data.jsonl"}) {
    const std::string path = file(name, "PAR1....");
    const std::string message = error_of(ErrorKind::data, [&] { read_all({path}); });
    EXPECT_TRUE(contains(message, "Say --format parquet")) << message;
  }
  ReaderOptions as_text;
  as_text.format = InputFormat::text;
  EXPECT_EQ(read_all({file("data", "PAR1....")}, as_text), Documents{"PAR1...."});
}

TEST_F(Readers, JsonPointer) {
  ReaderOptions options;
  options.field = "/message/parts/1";
  EXPECT_EQ(read_all({file("f.jsonl", "{\"message\": {\"parts\": [1, \"a\"]}}\n")}, options),
            Documents{"a"});
  options.field = "/a~x";
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { read_all({file("f", "")}, options); }),
                       "--field '/a~x'"));
}

TEST_F(Readers, WhatJsonLinesMayHold) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(read_all({file("f.jsonl", mark + "{\"text\": \"a\\u0000b\"}\r\n \t\r\n\n")}),
            Documents{std::string("a\0b", 3)});
  // Each of these rows is malformed: a byte order mark further down, NUL, a lone surrogate.
  const std::string path =
      file("g.jsonl", "{\"text\": \"a\"}\n" + mark + "{\"text\": \"b\"}\n{\"text\": \"" +
                          std::string(1, '\0') + "\"}\n{\"text\": \"\\ud800\"}\n[\"text\"]\n");
  DocumentReader reader({path}, {});
  testing::internal::CaptureStderr();
  std::string text;
  EXPECT_TRUE(reader.next(text));
  EXPECT_FALSE(reader.next(text));
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(reader.counts().bad_rows, 4u);
}

// Memory beyond the document itself: the line and room for it to grow, not a tree of values.
TEST_F(Readers, AHugeDocument) {
  constexpr size_t kBytes = 100'000'000;
  std::string row = "{\"id\": 1, \"text\": \"";
  const size_t begin = row.size();
  row.resize(begin + kBytes, 'a');
  for (size_t at = begin; at < row.size(); at += 1000) row.replace(at, 2, "\\n");
  row += "\"}\n{\"text\": \"z\"}\n";
  const std::string path = file("f.jsonl", row);
  row = {};
  rusage before = {}, after = {};
  getrusage(RUSAGE_SELF, &before);
  DocumentReader reader({path}, {});
  std::string document;
  EXPECT_TRUE(reader.next(document));
  getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(document.size(), kBytes - kBytes / 1000);
  EXPECT_EQ(document.substr(0, 3), "\naa");
  EXPECT_TRUE(reader.next(document));
  EXPECT_EQ(document, "z");
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory for a while
  EXPECT_LT((after.ru_maxrss - before.ru_maxrss) * 1024, static_cast<long>(2 * kBytes));
#endif
}

const std::string kScored =
    "{\"text\": \"a\", \"s\": 3, \"m\": {\"t\": 1}}\n"
    "{\"text\": \"b\", \"s\": 2.5, \"m\": {\"t\": 9}}\n"
    "{\"text\": \"c\"}\n"
    "{\"text\": \"d\", \"s\": \"4\", \"m\": {\"t\": 9}}\n"
    "{\"text\": \"e\", \"s\": 3.0e0, \"m\": {\"t\": 2}}\n";

TEST_F(Readers, MinimumScores) {
  ReaderOptions options;
  options.min_scores = {{"s", 3}};
  const std::string path = file("f.jsonl", kScored);
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({path}, options), (Documents{"a", "e"}));
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(), path + ":3: no field 's'"));
  options.min_scores.push_back({"/m/t", 2});
  testing::internal::CaptureStderr();
  DocumentReader reader({path}, options);
  std::string text;
  EXPECT_TRUE(reader.next(text));
  EXPECT_EQ(text, "e");
  EXPECT_FALSE(reader.next(text));
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(reader.counts().documents, 1u);
  EXPECT_EQ(reader.counts().low_scores, 2u);
  EXPECT_EQ(reader.counts().bad_rows, 2u);
  options.strict = true;
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({path}, options); }), path + ":3: "));
  EXPECT_TRUE(contains(error_of(ErrorKind::usage,
                                [&] {
                                  DocumentReader({path, file("g.txt", "")}, options);
                                }),
                       "g.txt is read as text"));
}

std::string numbered(int from, int to, const std::string& separator) {
  std::string text;
  for (int i = from; i < to; ++i) text += "document " + std::to_string(i) + separator;
  return text;
}

// The share is about right, the same in any order, and independent of the split into training and
// validation, which takes the lowest of checksum64.
TEST_F(Readers, SampleByHash) {
  ReaderOptions options = separated("|");
  options.sample = 0.25;
  const std::string a = file("a", numbered(0, 5000, "|")), b = file("b", numbered(5000, 9000, "|"));
  Documents there = read_all({a, b}, options), back = read_all({b, a}, options);
  EXPECT_NEAR(static_cast<double>(there.size()), 9000 * 0.25, 200);
  std::sort(there.begin(), there.end());
  std::sort(back.begin(), back.end());
  EXPECT_EQ(there, back);
  const auto low = std::count_if(there.begin(), there.end(), [](const std::string& text) {
    return checksum64(std::as_bytes(std::span(text))) < (uint64_t{1} << 62);
  });
  EXPECT_NEAR(static_cast<double>(low), static_cast<double>(there.size()) * 0.25, 100);
  options.sample = 0.5;
  const Documents more = read_all({a, b}, options);
  EXPECT_TRUE(std::all_of(there.begin(), there.end(), [&](const std::string& text) {
    return std::find(more.begin(), more.end(), text) != more.end();
  }));
}

TEST_F(Readers, Duplicates) {
  ReaderOptions options = separated("|");
  options.dedup = true;
  const std::string a = file("a", "x|y|x||z||"), b = file("b", "y|w|");
  DocumentReader reader({a, b}, options);
  Documents documents;
  for (std::string text; reader.next(text);) documents.push_back(text);
  EXPECT_EQ(documents, (Documents{"x", "y", "", "z", "w"}));
  EXPECT_EQ(reader.counts().duplicates, 3u);
  // Enough for the table to grow.
  const std::string many = numbered(0, 20000, "|");
  EXPECT_EQ(read_all({file("a", many + many)}, options).size(), 20000u);
}

TEST_F(Readers, Limit) {
  ReaderOptions options = separated("|");
  options.limit = 3;
  const std::string a = file("a", "x|x|"), b = file("b", "y|z|");
  EXPECT_EQ(read_all({a, b}, options), (Documents{"x", "x", "y"}));
  options.dedup = true;
  options.limit = 2;
  EXPECT_EQ(read_all({a, b}, options), (Documents{"x", "y"}));
  options.limit = 100;
  EXPECT_EQ(read_all({a, b}, options).size(), 3u);
}

void expect_equal(const ReaderCounts& a, const ReaderCounts& b) {
  EXPECT_EQ(a.documents, b.documents);
  EXPECT_EQ(a.bad_rows, b.bad_rows);
  EXPECT_EQ(a.low_scores, b.low_scores);
  EXPECT_EQ(a.unsampled, b.unsampled);
  EXPECT_EQ(a.duplicates, b.duplicates);
}

// From every place, skip() leaves the reader as next() would have.
TEST_F(Readers, SkipIsAsIfRead) {
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    rows += i % 7 == 3 ? "bad\n"
                       : "{\"text\": \"" + std::to_string(i % 11) +
                             "\", \"s\": " + std::to_string(i % 5) + "}\n";
  }
  const std::vector<std::string> jsonl = {file("a.jsonl", rows), file("b.jsonl.gz", gzip_of(rows))};
  const std::vector<std::string> text = {file("a.txt", numbered(0, 20, "|")),
                                         file("b.txt", numbered(10, 30, "|"))};
  std::vector<std::pair<std::vector<std::string>, ReaderOptions>> cases;
  for (int filters = 0; filters < 16; ++filters) {
    ReaderOptions options = separated("|");
    if (filters & 1) options.sample = 0.6;
    options.dedup = filters & 2;
    if (filters & 4) options.limit = 7;
    cases.push_back({text, options});
    if (filters & 8) options.min_scores = {{"s", 2}};
    cases.push_back({jsonl, options});
  }
  testing::internal::CaptureStderr();
  for (const auto& [paths, options] : cases) {
    const Documents all = read_all(paths, options);
    for (size_t place = 0; place <= all.size(); place += 3) {
      DocumentReader read(paths, options), skipped(paths, options);
      std::string document;
      for (size_t i = 0; i < place; ++i) EXPECT_TRUE(read.next(document));
      EXPECT_TRUE(skipped.skip(place));
      expect_equal(read.counts(), skipped.counts());
      EXPECT_EQ(read.input(), skipped.input());
      Documents rest;
      while (skipped.next(document)) rest.push_back(document);
      EXPECT_EQ(rest, Documents(all.begin() + static_cast<long>(place), all.end()));
    }
    DocumentReader beyond(paths, options);
    EXPECT_FALSE(beyond.skip(all.size() + 1));
  }
  testing::internal::GetCapturedStderr();
}

// When strict, lines that are passed over are counted, not read.
TEST_F(Readers, StrictSkipCountsLines) {
  ReaderOptions options;
  options.strict = true;
  DocumentReader reader({file("f.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n")}, options);
  EXPECT_TRUE(reader.skip(1));
  std::string text;
  EXPECT_TRUE(reader.next(text));
  EXPECT_EQ(text, "b");
}

TEST_F(Readers, IdentityTellsReadersApart) {
  const std::string a = file("a", "x"), b = file("b", "y");
  const auto identity = [&](const std::vector<std::string>& paths, const ReaderOptions& options) {
    return DocumentReader(paths, options).identity();
  };
  const std::string plain = identity({a, b}, {});
  EXPECT_EQ(plain, identity({a, b}, {}));
  std::vector<ReaderOptions> different(8);
  different[0].format = InputFormat::text;
  different[1].separator = "|";
  different[2].field = "t";
  different[3].strict = true;
  different[4].sample = 0.5;
  different[5].dedup = true;
  different[6].limit = 5;
  different[7].text_piece_bytes = 100;
  for (const ReaderOptions& options : different) EXPECT_NE(identity({a, b}, options), plain);
  EXPECT_NE(identity({b, a}, {}), plain);
  file("b", "longer");
  EXPECT_NE(identity({a, b}, {}), plain);
  file("b", "y");
  fs::last_write_time(b, fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_NE(identity({a, b}, {}), plain);
}

TEST_F(Readers, DirectoriesAndPatterns) {
  for (const std::string folder : {"d/sub", "d/.hidden", "d/empty"}) {
    fs::create_directories(scratch_ / folder);
  }
  for (const std::string name :
       {"d/b.txt", "d/a.txt.gz", "d/sub/c.jsonl.xz", "d/sub-e.ndjson", "d/z.parquet", "d/README.md",
        "d/table.csv", "d/.secret.txt", "d/.hidden/x.txt", "d/dump.json", "d/old.bz2"}) {
    file(name, "");
  }
  const auto names = [&](const std::string& input) {
    Documents found;
    const DocumentReader reader({(scratch_ / input).string()}, {});
    for (const std::string& path : reader.inputs()) {
      found.push_back(fs::path(path).lexically_relative(scratch_.path()));
    }
    return found;
  };
  EXPECT_EQ(names("d"), (Documents{"d/a.txt.gz", "d/b.txt", "d/sub-e.ndjson", "d/sub/c.jsonl.xz",
                                   "d/z.parquet"}));
  EXPECT_EQ(names("d/*.txt"), Documents{"d/b.txt"});
  EXPECT_EQ(names("d/?.txt*"), (Documents{"d/a.txt.gz", "d/b.txt"}));
  EXPECT_EQ(names("*/[a-b].txt"), Documents{"d/b.txt"});
  EXPECT_EQ(names("d/su?"), Documents{"d/sub/c.jsonl.xz"});
  file("d/odd[1].txt", "");
  EXPECT_EQ(names("d/odd[1].txt"), Documents{"d/odd[1].txt"});
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { names("d/empty"); }), "d/empty"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { names("d/*.tex"); }),
                       "no file matches the pattern"));
}

TEST_F(Readers, MissingInputs) {
  const std::string present = file("present", "x"), missing = (scratch_ / "missing").string();
  EXPECT_TRUE(contains(error_of(ErrorKind::data,
                                [&] {
                                  DocumentReader({present, missing}, {});
                                }),
                       missing));
}

TEST_F(Readers, CountsStoredBytes) {
  const std::string packed = zstd_of(std::string(100000, 'a'));
  DocumentReader reader({file("a", "12345"), file("b.zst", packed)}, {});
  EXPECT_EQ(reader.total_stored_bytes(), 5 + packed.size());
  std::string text;
  while (reader.next(text)) {
  }
  EXPECT_EQ(reader.stored_bytes(), reader.total_stored_bytes());
}

TEST_F(Readers, GiveALargeTextInPieces) {
  std::string text = "ab\ncd\n" + std::string(25, 'x') + "é日本語\n\n";
  for (int i = 0; i < 40; ++i) text += "🙂é";
  for (const size_t size : {8, 9, 10, 11, 1000}) {
    ReaderOptions options;
    options.text_piece_bytes = size;
    DocumentReader reader({file("a.txt", text), file("empty.txt", ""), file("b.txt", "end")},
                          options);
    std::string all, piece;
    while (reader.next(piece)) {
      EXPECT_LE(piece.size(), size);
      EXPECT_NE(static_cast<unsigned char>(piece[0]) & 0xC0, 0x80) << "cut inside a character";
      if (all.empty() && size < 1000) {
        EXPECT_EQ(piece, "ab\ncd\n");
      }
      all += piece;
    }
    EXPECT_EQ(all, text + "end");
  }
}

TEST(Unescape, KnowsTheUsualEscapes) {
  EXPECT_EQ(unescape("\\n%\\n", "--separator"), "\n%\n");
  EXPECT_EQ(unescape("a\\t\\r\\0\\\\\\x7fb", "--separator"), std::string("a\t\r\0\\\x7f"
                                                                         "b",
                                                                         7));
  for (const std::string bad : {"\\", "\\q", "\\x1", "\\xgg"}) {
    EXPECT_TRUE(
        contains(error_of(ErrorKind::usage, [&] { unescape(bad, "--separator"); }), "--separator"));
  }
}

}  // namespace
}  // namespace mythos
