#include "data/read/readers.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <map>
#include <thread>

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
  EXPECT_TRUE(contains(message, "no field 'txt'; the row has: text, id. Did you mean 'text'?"))
      << message;
}

TEST_F(Readers, EveryCompressionOfEveryFormat) {
  const std::string rows = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  for (const auto& format : std::map<std::string, std::string (*)(const std::string&)>{
           {".zst", zstd_of}, {".gz", gzip_of}, {".xz", xz_of}}) {
    const std::string& suffix = format.first;
    const auto compress = format.second;
    EXPECT_EQ(read_all({file("f.jsonl" + suffix, compress(rows))}), (Documents{"a", "b"}));
    EXPECT_EQ(read_all({file("f.ndjson" + suffix, compress(rows))}), (Documents{"a", "b"}));
    EXPECT_EQ(read_all({file("f.txt" + suffix, compress("a%b"))}, separated("%")),
              (Documents{"a", "b"}));
    EXPECT_TRUE(contains(
        error_of(ErrorKind::data, [&] { read_all({file("f.parquet" + suffix, compress("x"))}); }),
        "Parquet inside"));
  }
}

// Whatever the name; what the name did not say is said.
TEST_F(Readers, ToldByContent) {
  const std::string rows = "\n{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  const Documents expected = {"a", "b"};
  const auto said = [&](const std::string& name, const std::string& content) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(read_all({file(name, content)}), expected) << name;
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said("f.json", rows), "");
  EXPECT_EQ(said("f.JSONL", rows), "");
  EXPECT_EQ(said("f.json.gz", gzip_of(rows)), "");
  EXPECT_EQ(said("f.JSON.ZST", zstd_of(rows)), "");
  EXPECT_EQ(said("f.json", "[{\"text\": \"a\"},\n{\"text\": \"b\"}]"), "");
  EXPECT_EQ(said("f.json", "{\n\"text\": \"a\"\n}\n{\"text\": \"b\"}"), "");
  for (const std::string name : {"f", "f.txt", "f.md"}) {
    EXPECT_TRUE(contains(said(name, rows), name + ": read as JSON lines, by its content")) << name;
    EXPECT_TRUE(contains(said(name, "[{\"text\": \"a\"}, {\"text\": \"b\"}]"), "read as JSON, by"));
  }
  EXPECT_TRUE(
      contains(said("f.jsonl", "[{\"text\": \"a\"}, {\"text\": \"b\"}]"), "read as JSON, by"));
  ReaderOptions options;
  options.format = InputFormat::text;
  EXPECT_EQ(read_all({file("f.json", rows)}, options), Documents{rows});
  // Lines of JSON that a separator asks for.
  EXPECT_EQ(read_all({file("f.txt", "{\"a\": 1}\n{\"b\": 2}\n")}, separated("\n")),
            (Documents{"{\"a\": 1}", "{\"b\": 2}"}));
}

TEST_F(Readers, WhatHoldsNoTextIsRefusedBeforeAnythingIsRead) {
  const std::string good = file("a.txt", "a");
  for (const auto& [name, content, what] : std::vector<std::array<std::string, 3>>{
           {"f.txt", "PK\3\4 and so on", "this is a zip archive"},
           {"f.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "git lfs pull"},
           {"f.csv", "\xFF\xFEi\0d\0", "this is text in UTF-16. Convert it: iconv -f UTF-16 "},
           {"f.txt.gz", gzip_of(gzip_of("a")),
            "(inside gzip): this is compressed once more, by gzip"},
           {"f.txt.gz", "a", "by its name this is gzip, but it does not begin so"},
           {"f.jsonl", "<!DOCTYPE html>\n<html>", "this is an HTML page, not JSON lines"},
           {"f.bz2", "a", "compressed by bzip2"}}) {
    const std::string path = file(name, content);
    const std::string message = error_of(ErrorKind::data, [&] {
      DocumentReader({good, path}, {});
    });
    EXPECT_TRUE(message.starts_with(path) && contains(message, what)) << message;
    if (name.ends_with(".gz")) continue;
    ReaderOptions text;
    text.format = InputFormat::text;
    EXPECT_EQ(read_all({path}, text), Documents{content}) << name;
  }
  ReaderOptions named;
  named.format = InputFormat::csv;
  EXPECT_TRUE(contains(
      error_of(ErrorKind::data, [&] { read_all({file("f", "PK\3\4 and so on")}, named); }), "zip"));
}

TEST_F(Readers, ParquetByContent) {
  const std::string begin = "PAR1\x15\4";
  for (const std::string name : {"data", "data.jsonl", "data.txt", "data.csv"}) {
    const std::string message = error_of(ErrorKind::data, [&] { read_all({file(name, begin)}); });
    EXPECT_TRUE(contains(message, "the Parquet file is cut off")) << message;
  }
  ReaderOptions options;
  options.format = InputFormat::text;
  EXPECT_EQ(read_all({file("data", begin)}, options), Documents{begin});
  EXPECT_EQ(read_all({file("data", "PAR1 is a text")}), Documents{"PAR1 is a text"});
  options.format = InputFormat::jsonl;
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({file("data", begin)}, options); }),
                       "--format parquet reads it"));
}

TEST_F(Readers, JsonOverAnyLines) {
  ReaderOptions options;
  options.format = InputFormat::json;
  const auto read = [&](const std::string& text) { return read_all({file("f", text)}, options); };
  const Documents expected = {"a]\"", "b"};
  const std::string a = "{\"x\": [1, {}], \"text\": \"a]\\\"\"}", b = "{\n\"text\":\n\"b\"}";
  EXPECT_EQ(read("[" + a + "," + b + "]"), expected);
  EXPECT_EQ(read("\xEF\xBB\xBF \n[\n" + a + "\n,\n" + b + "\n]\n"), expected);
  EXPECT_EQ(read(a + b), expected);
  EXPECT_EQ(read("[" + a + "]\n[" + b + "]"), expected);
  EXPECT_EQ(read(""), Documents{});
  EXPECT_EQ(read("[]"), Documents{});
  // A value that arrives in many reads, and one of which the reads cut an escape.
  for (const size_t size : {3'000'000, 1048576 - 14, 1048576 - 13, 1048576 - 12}) {
    const std::string text(size, 'x');
    EXPECT_EQ(read("[{\"text\": \"" + text + "\\\"\"}, {\"text\": \"b\"}]"),
              (Documents{text + "\"", "b"}));
  }
}

TEST_F(Readers, MalformedValuesOfJson) {
  ReaderOptions options;
  options.format = InputFormat::json;
  const std::string path =
      file("f", "[{\"text\": \"a\"},\n{\"text\" \"b\"},\n7, \"s\", {\"text\": \"c\"}]");
  DocumentReader reader({path}, options);
  testing::internal::CaptureStderr();
  Documents documents;
  for (std::string text; reader.next(text);) documents.push_back(text);
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(),
                       path + ":2: not valid JSON at column 9 (expected ':')"));
  EXPECT_EQ(documents, (Documents{"a", "c"}));
  EXPECT_EQ(reader.counts().bad_rows, 3u);
  // Behind these nothing can be found again.
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {"[{\"text\": \"a\"}\n {\"text\": \"b\"}]", ":2: expected ',' or ']'"},
           {"[{\"text\": \"a\"},\n", ":2: the array does not end"},
           {"[\n{\"text\": \"a", ":2: the value that begins here does not end"},
           {"{}}", ":1: expected a value, got '}'"}}) {
    const std::string message =
        error_of(ErrorKind::data, [&, &text = text] { read_all({file("g", text)}, options); });
    EXPECT_TRUE(contains(message, what)) << message;
  }
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
  // Each of these rows is malformed: a byte order mark further down, NUL, an array.
  const std::string path =
      file("g.jsonl", "{\"text\": \"a\"}\n" + mark + "{\"text\": \"b\"}\n{\"text\": \"" +
                          std::string(1, '\0') + "\"}\n[\"text\"]\n");
  DocumentReader reader({path}, {});
  testing::internal::CaptureStderr();
  std::string text;
  EXPECT_TRUE(reader.next(text));
  EXPECT_FALSE(reader.next(text));
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(reader.counts().bad_rows, 3u);
}

TEST_F(Readers, LoneSurrogatesAreReplacedAndCounted) {
  const std::string path = file("f.jsonl",
                                "{\"text\": \"a\\ud83d\"}\n{\"text\": \"b\"}\n"
                                "{\"text\": \"c\", \"x\": \"\\udfff\"}\n");
  for (const bool strict : {false, true}) {
    ReaderOptions options;
    options.strict = strict;
    DocumentReader reader({path}, options);
    Documents documents;
    for (std::string text; reader.next(text);) documents.push_back(text);
    EXPECT_EQ(documents, (Documents{"a\xEF\xBF\xBD", "b", "c"}));
    EXPECT_EQ(reader.counts().lone_surrogates, 1u);
    EXPECT_EQ(reader.counts().bad_rows, 0u);
    DocumentReader skipped({path}, options);
    EXPECT_TRUE(skipped.skip(2));
    EXPECT_EQ(skipped.counts().lone_surrogates, 1u);
  }
}

// A score beyond double is infinite, as Python reads it, and NaN is never high enough.
TEST_F(Readers, ScoresBeyondDouble) {
  ReaderOptions options;
  options.min_scores = {{"x", 3}};
  const std::string path =
      file("f.jsonl",
           "{\"text\": \"huge\", \"x\": 1e999}\n{\"text\": \"five\", \"x\": 5}\n"
           "{\"text\": \"low\", \"x\": -1e999}\n"
           "{\"text\": \"none\", \"x\": NaN}\n"
           "{\"text\": \"tiny\", \"x\": 1e-999}\n");
  DocumentReader reader({path}, options);
  Documents documents;
  for (std::string text; reader.next(text);) documents.push_back(text);
  EXPECT_EQ(documents, (Documents{"huge", "five"}));
  EXPECT_EQ(reader.counts().low_scores, 3u);
  EXPECT_EQ(reader.counts().bad_rows, 0u);
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

TEST_F(Readers, TablesByName) {
  const std::string table =
      "\xEF\xBB\xBFid,text,s\r\n1,\"a,\n\"\"b\"\"\",3\r\n\r\n2,,2.5\r\n3,c,1e999";
  const Documents expected = {"a,\n\"b\"", "", "c"};
  EXPECT_EQ(read_all({file("f.csv", table)}), expected);
  EXPECT_EQ(read_all({file("f.CSV.GZ", gzip_of(table))}), expected);
  EXPECT_EQ(read_all({file("g.tsv", "text\tid\na, b\t1\n")}), Documents{"a, b"});
  ReaderOptions options;
  options.format = InputFormat::csv;
  EXPECT_EQ(read_all({file("f", table)}, options), expected);
  options = {};
  options.min_scores = {{"s", 3}};
  EXPECT_EQ(read_all({file("f.csv", table)}, options), (Documents{"a,\n\"b\"", "c"}));
  options.field = "id";
  EXPECT_EQ(read_all({file("f.csv", table)}, options), (Documents{"1", "3"}));
  EXPECT_EQ(read_all({file("empty.csv", "")}), Documents{});
  options.format = InputFormat::text;
  options.min_scores.clear();
  EXPECT_EQ(read_all({file("f.csv", table)}, options), Documents{table});
  const std::string message =
      error_of(ErrorKind::data, [&] { read_all({file("f.csv", "id,txt\n1,a\n")}); });
  EXPECT_TRUE(
      contains(message, "f.csv:1: no column 'text'; the file has: id, txt. Did you mean 'txt'?"))
      << message;
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({file("f.csv", "id;text\n1;a\n")}); }),
               "Fields are delimited by ','"));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({file("f.csv", "id,\"text\n1,a\n")}); }),
               "f.csv:1: the columns' names: a quote is not closed"));
}

TEST_F(Readers, MalformedRecordsOfTables) {
  const std::string path = file("f.csv",
                                "text,s\na,1\nb\nc,2,3\n\"d\"x,4\n\"e\ne\",5\nf,\ng,high\n"
                                "h,\"8\ni,9\nj,10\n");
  ReaderOptions options;
  options.min_scores = {{"s", 0}};
  DocumentReader reader({path}, options);
  testing::internal::CaptureStderr();
  Documents documents;
  for (std::string text; reader.next(text);) documents.push_back(text);
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(),
                       path + ":3: expected 2 fields, as there are columns, got 1"));
  // The quote that is not closed costs its own line alone.
  EXPECT_EQ(documents, (Documents{"a", "e\ne", "i", "j"}));
  EXPECT_EQ(reader.counts().bad_rows, 6u);
  options.strict = true;
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({path}, options); }), path + ":3: "));
}

// Records that a table's reads, of a mebibyte each, cut at every place.
TEST_F(Readers, RecordsAcrossReads) {
  for (size_t size = 1048576 - 14; size < 1048576; ++size) {
    const std::string text(size, 'x');
    EXPECT_EQ(read_all({file("f.csv", "text\r\n" + text + "\r\n\"a\"\"b\"\r\nc\r\n")}),
              (Documents{text, "a\"b", "c"}));
  }
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
  EXPECT_EQ(a.lone_surrogates, b.lone_surrogates);
  EXPECT_EQ(a.low_scores, b.low_scores);
  EXPECT_EQ(a.unsampled, b.unsampled);
  EXPECT_EQ(a.duplicates, b.duplicates);
}

// From every place, skip() leaves the reader as next() would have.
TEST_F(Readers, SkipIsAsIfRead) {
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    rows += i % 7 == 3   ? "bad\n"
            : i % 9 == 4 ? "{\"text\": \"\\udc00\", \"s\": 3}\n"
                         : "{\"text\": \"" + std::to_string(i % 11) +
                               "\", \"s\": " + std::to_string(i % 5) + "}\n";
  }
  const std::vector<std::string> jsonl = {
      file("a.jsonl", rows), file("b.jsonl.gz", gzip_of(rows)),
      file("c.json", "[{\"text\": \"x\", \"s\": 1},\n{\"text\": \"\\udc00\", \"s\": 4}, 7]"),
      file("d.csv", "s,text\n1,a\n3,\"b\n\"\nbad\n4,c\n")};
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
  std::vector<ReaderOptions> different(9);
  different[0].format = InputFormat::text;
  different[1].separator = "|";
  different[2].field = "t";
  different[3].strict = true;
  different[4].sample = 0.5;
  different[5].dedup = true;
  different[6].limit = 5;
  different[7].text_piece_bytes = 100;
  different[8].format = InputFormat::csv;
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
       {"d/b.TXT", "d/a.txt.gz", "d/sub/c.jsonl.xz", "d/sub-e.ndjson", "d/z.parquet", "d/README.md",
        "d/table.csv", "d/.secret.txt", "d/.hidden/x.txt", "d/dump.json"}) {
    // Each begins as its compression does, and is otherwise empty.
    file(name, name.ends_with(".gz") ? gzip_of("") : name.ends_with(".xz") ? xz_of("") : "");
  }
  const auto names = [&](const std::string& input) {
    Documents found;
    const DocumentReader reader({(scratch_ / input).string()}, {});
    for (const std::string& path : reader.inputs()) {
      found.push_back(fs::path(path).lexically_relative(scratch_.path()));
    }
    return found;
  };
  const Documents all = {"d/README.md",    "d/a.txt.gz",       "d/b.TXT",     "d/dump.json",
                         "d/sub-e.ndjson", "d/sub/c.jsonl.xz", "d/table.csv", "d/z.parquet"};
  EXPECT_EQ(names("d"), all);
  file("d/b.txt", "");
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

// A directory tells in one line what it leaves out.
TEST_F(Readers, DirectoriesNameWhatTheyLeaveOut) {
  fs::create_directories(scratch_ / "d/sub/x.txt");
  fs::create_directories(scratch_ / "other");
  for (const std::string name :
       {"d/a.txt", "d/p.png", "d/sub/q.PNG", "d/old.jsonl.bz2", "d/LICENSE", "d/.hidden"}) {
    file(name, "a");
  }
  fs::create_directory_symlink("../other", scratch_ / "d/link");
  fs::create_directory_symlink("..", scratch_ / "d/loop");
  fs::create_symlink("nowhere", scratch_ / "d/dangling");
  ASSERT_EQ(mkfifo((scratch_ / "d/pipe.txt").c_str(), 0600), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({(scratch_ / "d").string()}), Documents{"a"});
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_TRUE(contains(said, "d: left out 8: ")) << said;
  EXPECT_TRUE(contains(said, ", such as LICENSE, dangling, link; files are")) << said;
  for (const std::string kind :
       {".png (2)", "links to directories (2)", ".bz2 (1)", "without an ending (1)",
        "links that lead nowhere (1)", "neither files nor directories (1)"}) {
    EXPECT_TRUE(contains(said, kind)) << said;
  }
  // One whose name is that of an input would be missed.
  fs::create_symlink("nowhere", scratch_ / "d/z.jsonl");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({(scratch_ / "d").string()}); }),
                       "d/z.jsonl: the link leads nowhere"));
  fs::remove(scratch_ / "d/z.jsonl");
  fs::create_symlink("z.jsonl", scratch_ / "d/z.jsonl");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({(scratch_ / "d").string()}); }),
                       "d/z.jsonl: the link leads nowhere"));
  file("other/b.png", "");
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({(scratch_ / "other").string()}); }),
               "; it holds .png (1), such as b.png."));
}

// Bytes of another encoding are taken as they are, with a warning; a character may be cut where
// the first bytes end.
TEST_F(Readers, TextThatIsNotUtf8IsSaid) {
  const auto said = [&](const std::vector<std::string>& contents,
                        const ReaderOptions& options = {}) {
    std::vector<std::string> paths;
    for (const std::string& content : contents) {
      paths.push_back(file(std::to_string(paths.size()) + ".txt", content));
    }
    testing::internal::CaptureStderr();
    EXPECT_EQ(read_all(paths, options), contents);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_TRUE(contains(said({"caf\xE9 a", "caf\xE9 b", "café"}), "0.txt (and 1 more): not UTF-8"));
  std::string long_text;
  while (long_text.size() < 40000) long_text += "日本";
  EXPECT_EQ(said({"café", long_text, "x" + long_text, "xx" + long_text}), "");
  ReaderOptions text;
  text.format = InputFormat::text;
  EXPECT_EQ(said({"caf\xE9"}, text), "");
}

TEST_F(Readers, AFieldOfTextIsSaid) {
  ReaderOptions options;
  options.field = "body";
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({file("a.txt", "a")}, options), Documents{"a"});
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(), "--field does nothing"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({file("a.txt", "a"), file("b.jsonl", "{\"body\": \"b\"}")}, options),
            (Documents{"a", "b"}));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Readers, AFileNamedTwiceIsSaid) {
  const std::string a = file("a.txt", "a"), b = file("b.txt", "b");
  fs::create_symlink("a.txt", scratch_ / "c.txt");
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({a, b}), (Documents{"a", "b"}));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({a, b, (scratch_ / "c.txt").string(), a}), (Documents{"a", "b", "a", "a"}));
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(),
                       "c.txt and 1 more: named more than once, and read each time"));
}

// What is told of a pipe is told when its turn comes, and nothing is lost by looking at it.
TEST_F(Readers, PipesAreToldByContent) {
  const std::string path = (scratch_ / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto read = [&](const std::string& content, const ReaderOptions& options = {}) {
    std::thread writer([&] { std::ofstream(path, std::ios::binary) << content; });
    Documents documents;
    std::string error;
    try {
      documents = read_all({path}, options);
    } catch (const Error& caught) {
      error = caught.what();
    }
    writer.join();
    return error.empty() ? documents : Documents{"error", error};
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("{\"text\": \"a\"}\n"), Documents{"a"});
  EXPECT_EQ(read(gzip_of("[{\"text\": \"a\"}]")), Documents{"a"});
  EXPECT_EQ(read("plain"), Documents{"plain"});
  EXPECT_TRUE(contains(read("PK\3\4").back(), "zip archive"));
  ReaderOptions scored;
  scored.min_scores = {{"s", 1}};
  EXPECT_TRUE(contains(read("plain", scored).back(), "pipe is read as text"));
  testing::internal::GetCapturedStderr();
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
