#include "data/read/input_format.h"

#include <gtest/gtest.h>

#include <set>

#include "base/strings.h"
#include "data/read/foreign_format.h"
#include "scratch.h"

namespace mythos {
namespace {

using namespace std::string_literals;
using enum InputFormat;

InputFormat told(const std::string& path, const std::string& start) {
  return tell_format(path, "", start, {});
}

TEST(InputFormat, ByNameInAnyLetterCase) {
  EXPECT_EQ(format_by_name("a/b.txt"), text);
  EXPECT_EQ(format_by_name("B.MD.GZ"), text);
  EXPECT_EQ(format_by_name("b.Rst"), text);
  EXPECT_EQ(format_by_name("b.jsonlines"), jsonl);
  EXPECT_EQ(format_by_name("b.ndjson.xz"), jsonl);
  EXPECT_EQ(format_by_name("b.json.zst"), json);
  EXPECT_EQ(format_by_name("b.CSV"), csv);
  EXPECT_EQ(format_by_name("b.tsv.gz"), tsv);
  EXPECT_EQ(format_by_name("b.parquet"), parquet);
  for (const std::string name : {"b", "b.png", "txt", "b.txt~", "b.txt.part", "b.jsonl.bz2"}) {
    EXPECT_FALSE(format_by_name(name).has_value()) << name;
  }
}

TEST(InputFormat, WhatIsJsonAndWhatOnlyLooksLikeIt) {
  const std::string long_text(kTellBytes, 'x');
  for (const std::string& start :
       {"{\"text\": \"a\"}"s, "\xEF\xBB\xBF{\"text\": \"a\"}\n"s, " \n\n {\"a\":1}\nwhat follows"s,
        "{}\n"s, ("{\"text\": \"" + long_text).substr(0, kTellBytes),
        ("{\"text\": \"" + std::string(kTellBytes - 15, 'x') + "\\ud83d").substr(0, kTellBytes)}) {
    EXPECT_EQ(told("f", start), jsonl) << start.substr(0, 40);
  }
  for (const std::string& start :
       {"[{\"text\": \"a\"}]"s, "[\n  {\n    \"text\": \"a\"\n  }\n]"s,
        "{\n  \"text\": \"a\"\n}\n"s, "[ {}, 1]"s, "{\"a\": 1} {\"a\": 2}\n"s,
        ("[{\"text\": \"" + long_text).substr(0, kTellBytes),
        ("{\n\"text\": \"" + long_text).substr(0, kTellBytes)}) {
    EXPECT_EQ(told("f", start), json) << start.substr(0, 40);
  }
  for (const std::string& start :
       {""s, "{"s, "[1, 2]"s, "[link](a.html)"s, "[section]\nkey = 1"s, "{{ template }}"s,
        "{% if a %}"s, "{\"so\" he said}"s, "{\"a\": 1"s, "[{\"a\"]"s, "{\"cut off\": \"a\n"s,
        "5\n{\"a\": 1}"s, "{ a }"s, "#!/bin/sh\n"s, "\"quoted\""s}) {
    EXPECT_EQ(told("f", start), text) << start;
    EXPECT_EQ(told("f.txt", start), text) << start;
  }
}

TEST(InputFormat, NamesOfRowsHoldWhereContentDoesNotTell) {
  EXPECT_EQ(told("f.jsonl", ""), jsonl);
  EXPECT_EQ(told("f.jsonl", "{\"text\": \"a\n{\"text\": \"b\"}\n"), jsonl);
  EXPECT_EQ(told("f.jsonl", "[{\"text\": \"a\"}]"), json);
  EXPECT_EQ(told("f.json", "{\"text\": \"a\n{\"text\": \"b\"}\n"), jsonl);
  EXPECT_EQ(told("f.json", "[\"a\", \"b\"]"), json);
  EXPECT_EQ(told("f.csv", "{\"a\": 1}\n"), csv);
  EXPECT_EQ(told("f.tsv", "a,b\n"), tsv);
  EXPECT_EQ(told("f.parquet", ""), parquet);
  EXPECT_EQ(told("f.csv", "PAR1\x15"), parquet);
  ReaderOptions separated;
  separated.separator = "\n";
  EXPECT_EQ(tell_format("f.txt", "", "{\"a\": 1}\n", separated), text);
  EXPECT_EQ(tell_format("f.json", "", "{\"a\": 1}\n", separated), jsonl);
}

// A header of tar as the POSIX text gives it, with its checksum where `magic` is none as well.
std::string tar_header(const std::string& magic) {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string& field) {
    header.replace(at, field.size(), field);
  };
  put(0, "a.txt");
  put(100, "0000644");
  put(124, "00000000002");
  put(156, "0");
  put(257, magic);
  put(148, std::string(8, ' '));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, strprintf("%06o", sum) + '\0' + ' ');
  return header;
}

TEST(InputFormat, ForeignFormatsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> formats = {
      {"PK\3\4"s, "zip"},
      {"PK\5\6"s, "zip"},
      {"7z\xBC\xAF\x27\x1C"s, "7z"},
      {"Rar!\x1A\7\1"s, "rar"},
      {tar_header("ustar"), "tar archive"},
      {tar_header(""), "tar archive"},
      {"BZh91AY&SY"s, "bzip2"},
      {"\4\x22\x4D\x18"s, "lz4"},
      {"\x1F\x9D\x90"s, "compress"},
      {"\xFF\xFEh\0"s, "UTF-16"},
      {"\xFE\xFF\0h"s, "UTF-16"},
      {"\xFF\xFE\0\0h\0\0\0"s, "UTF-32"},
      {"\0\0\xFE\xFF"s, "UTF-32"},
      {"h\0e\0l\0l\0o\0 \0w\0o\0"s, "UTF-16LE"},
      {"\0h\0e\0l\0l\0o\0 \0w\0o"s, "UTF-16BE"},
      {"version https://git-lfs.github.com/spec/v1\n"s, "Git LFS pointer"},
      {"%PDF-1.7"s, "PDF"},
      {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"s, "Microsoft Office"},
      {"\x89PNG\r\n\x1A\n"s, "picture"},
      {"\xFF\xD8\xFF\xE0"s, "picture"},
      {"GIF89a"s, "picture"},
      {"\0\0\0\x20"
       "ftypisom"s,
       "film"},
      {"RIFF\1\2\3\4WAVEfmt "s, "sound"},
      {"SQLite format 3\0"s, "SQLite"},
      {"ARROW1\0\0"s, "Arrow"},
      {"\xFF\xFF\xFF\xFF\1"s, "Arrow stream"},
      {"\x89HDF\r\n\x1A\n"s, "HDF5"},
      {"\x93NUMPY\1"s, "NumPy"},
      {"\x80\2}q"s, "pickle"},
      {"\x40\0\0\0\0\0\0\0{\"a\":"s, "safetensors"},
      {"GGUF\3\0\0\0"s, "GGUF"},
      {"\x7F\x45LF"s, "program"},
      {"MYTHSHRD"s, "token shards"}};
  for (const auto& [start, what] : formats) {
    const auto foreign = foreign_format(start, "f");
    ASSERT_TRUE(foreign.has_value()) << what;
    EXPECT_TRUE(contains(foreign->what + foreign->advice, what)) << foreign->what;
    const std::string message =
        error_of(ErrorKind::data, [&, &start = start] { told("f.txt", start); });
    EXPECT_TRUE(contains(message, "f.txt: this is " + foreign->what) &&
                contains(message, "--format text"))
        << message;
  }
  EXPECT_TRUE(contains(foreign_format("", "f.jsonl.bz2")->what, "bzip2"));
  EXPECT_TRUE(contains(foreign_format("", "F.BR")->what, "brotli"));
}

TEST(InputFormat, TextsThatAreNotForeign) {
  for (const std::string& start :
       {""s, "PK is short"s, "a\n\nb\0c\xFF\n"s, "BZh is a text"s, "GGUF is a format"s, "ID3 tags"s,
        "PARENTS"s, "ORCHIDS"s, "version 1"s, std::string(600, '\0'), std::string(600, '0'), "MZ"s,
        "RIFF raff"s, "\xEF\xBB\xBFtext"s, "caf\xE9"s, "<html>"s, "Rar! he said"s}) {
    EXPECT_FALSE(foreign_format(start, "f.txt").has_value()) << start;
    EXPECT_EQ(told("f.txt", start), text) << start;
  }
}

}  // namespace
}  // namespace mythos
