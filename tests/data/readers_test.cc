#include "data/readers.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "data/byte_stream.h"
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

std::string compress(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
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
  EXPECT_EQ(read_all({file("f.jsonl.zst", compress(rows))}), (Documents{"a\né", "", "z"}));
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

TEST_F(Readers, ZstandardByNameAndByContent) {
  std::string text;
  for (int i = 0; i < 400000; ++i) text += std::to_string(i) + "\n";
  EXPECT_EQ(read_all({file("f.zst", compress(text))}), Documents{text});
  EXPECT_EQ(read_all({file("f", compress(text))}), Documents{text});
  EXPECT_EQ(read_all({file("two", compress("one ") + compress("two"))}), Documents{"one two"});
  EXPECT_EQ(read_all({file("none", compress(""))}), Documents{""});
}

// All input is taken long before the output has been given out.
TEST_F(Readers, ZstandardInSmallPieces) {
  const std::string text(100000, 'a');
  const auto stream = open_byte_stream(file("f.zst", compress(text)), true);
  std::string got, piece(7, '\0');
  while (const size_t size = stream->read(piece)) got.append(piece, 0, size);
  EXPECT_EQ(got, text);
}

TEST_F(Readers, CorruptZstandardIsNamedWithItsOffset) {
  const std::string whole = compress("some text that does not repeat 0123456789");
  for (size_t size = 4; size < whole.size(); ++size) {
    const std::string path = file("cut.zst", whole.substr(0, size));
    const std::string message = error_of(ErrorKind::data, [&] { read_all({path}); });
    EXPECT_TRUE(contains(message, path + ": byte ") && contains(message, "cut off")) << message;
  }
  const std::string trailing = file("trailing.zst", whole + "garbage");
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { read_all({trailing}); }), "corrupt Zstandard"));
  const std::string fake = file("fake.zst", "plain text");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({fake}); }), fake + ": byte 0"));
}

TEST_F(Readers, OtherFormatsAreRefusedByName) {
  for (const std::string name : {"f.parquet", "f.gz", "f.txt.xz", "f.bz2"}) {
    const std::string path = file(name, "x");
    EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({path}); }),
                         "not supported by this version"));
  }
  const std::string parquet = file("data", "PAR1....");
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({parquet}); }), "Parquet"));
  ReaderOptions as_text;
  as_text.format = InputFormat::text;
  EXPECT_EQ(read_all({parquet}, as_text), Documents{"PAR1...."});
}

TEST_F(Readers, MissingInputsAndDirectories) {
  const std::string present = file("present", "x"), missing = (scratch_ / "missing").string();
  EXPECT_TRUE(contains(error_of(ErrorKind::data,
                                [&] {
                                  DocumentReader({present, missing}, {});
                                }),
                       missing));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({scratch_.path().string()}); }),
                       "directory"));
}

TEST_F(Readers, CountsStoredBytes) {
  const std::string packed = compress(std::string(100000, 'a'));
  DocumentReader reader({file("a", "12345"), file("b.zst", packed)}, {});
  EXPECT_EQ(reader.total_stored_bytes(), 5 + packed.size());
  std::string text;
  while (reader.next(text)) {
  }
  EXPECT_EQ(reader.stored_bytes(), reader.total_stored_bytes());
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
