#include <arrow/api.h>
#include <arrow/io/file.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <thread>

#include "data/read/readers.h"
#include "plain_file.h"
#include "scratch.h"

namespace mythos {
namespace {

using Documents = std::vector<std::string>;

Documents rest_of(DocumentReader& reader) {
  Documents documents;
  for (std::string text; reader.next(text);) documents.push_back(text);
  return documents;
}

Documents read_all(const std::vector<std::string>& paths, ReaderOptions options = {}) {
  DocumentReader reader(paths, std::move(options));
  return rest_of(reader);
}

template <class Builder, class Value>
std::shared_ptr<arrow::Array> array_of(const std::vector<std::optional<Value>>& values,
                                       Builder builder = Builder()) {
  for (const auto& value : values) {
    EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
  }
  return *builder.Finish();
}

std::shared_ptr<arrow::Array> strings(const std::vector<std::optional<std::string>>& values) {
  return array_of<arrow::StringBuilder>(values);
}

using Columns = std::vector<std::pair<std::string, std::shared_ptr<arrow::Array>>>;

class Parquet : public testing::Test {
 protected:
  std::string write(
      const Columns& columns, int64_t group_rows = 1000,
      std::shared_ptr<parquet::WriterProperties> properties = parquet::default_writer_properties(),
      const std::string& name = "f.parquet") {
    arrow::FieldVector fields;
    arrow::ArrayVector arrays;
    for (const auto& [column, array] : columns) {
      fields.push_back(arrow::field(column, array->type()));
      arrays.push_back(array);
    }
    const std::string path = (scratch_ / name).string();
    const auto table = arrow::Table::Make(arrow::schema(fields), arrays);
    const auto out = *arrow::io::FileOutputStream::Open(path);
    const auto arrow_properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
    EXPECT_TRUE(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, group_rows,
                                           properties, arrow_properties)
                    .ok());
    EXPECT_TRUE(out->Close().ok());
    return path;
  }
  Scratch scratch_;
};

const Documents kTexts = {"one", std::string("t\0wo", 4), "", "é€", "one"};

template <class Builder>
std::shared_ptr<arrow::Array> texts() {
  Builder builder;
  for (const std::string& text : kTexts) EXPECT_TRUE(builder.Append(text).ok());
  return *builder.Finish();
}

TEST_F(Parquet, EveryKindOfStringColumn) {
  const std::map<std::string, std::shared_ptr<arrow::Array>> kinds = {
      {"string", texts<arrow::StringBuilder>()},
      {"large_string", texts<arrow::LargeStringBuilder>()},
      {"string_view", texts<arrow::StringViewBuilder>()},
      {"binary", texts<arrow::BinaryBuilder>()},
      {"large_binary", texts<arrow::LargeBinaryBuilder>()},
      {"dictionary", texts<arrow::StringDictionaryBuilder>()},
      {"dictionary32", texts<arrow::StringDictionary32Builder>()}};
  for (const auto& [kind, array] : kinds) {
    EXPECT_EQ(read_all({write({{"id", array}, {"text", array}}, 2)}), kTexts) << kind;
  }
}

TEST_F(Parquet, EveryCodecPageVersionAndEncoding) {
  using Compression = arrow::Compression;
  for (const auto codec : {Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD,
                           Compression::GZIP, Compression::BROTLI, Compression::LZ4}) {
    for (const auto version :
         {parquet::ParquetDataPageVersion::V1, parquet::ParquetDataPageVersion::V2}) {
      for (const auto encoding :
           {parquet::Encoding::PLAIN, parquet::Encoding::DELTA_LENGTH_BYTE_ARRAY,
            parquet::Encoding::DELTA_BYTE_ARRAY}) {
        parquet::WriterProperties::Builder properties;
        properties.compression(codec)->data_page_version(version)->encoding(encoding);
        properties.disable_dictionary()->enable_page_checksum();
        const std::string path =
            write({{"text", texts<arrow::StringBuilder>()}}, 3, properties.build());
        EXPECT_EQ(read_all({path}), kTexts);
      }
    }
  }
}

// Many batches of many pages of several row groups.
TEST_F(Parquet, ManyRows) {
  std::vector<std::optional<std::string>> values;
  Documents documents;
  for (int i = 0; i < 20000; ++i) {
    values.push_back("row " + std::to_string(i) + std::string(static_cast<size_t>(i % 300), '.'));
    documents.push_back(*values.back());
  }
  parquet::WriterProperties::Builder properties;
  properties.data_pagesize(10000);
  const std::string path = write({{"text", strings(values)}}, 7000, properties.build());
  DocumentReader reader({path}, {});
  Documents read;
  uint64_t stored = 0;
  for (std::string text; reader.next(text);) {
    read.push_back(text);
    EXPECT_GE(reader.stored_bytes(), stored);
    stored = reader.stored_bytes();
  }
  EXPECT_EQ(read, documents);
  EXPECT_EQ(reader.total_stored_bytes(), fs::file_size(path));
  EXPECT_EQ(reader.stored_bytes(), fs::file_size(path));
}

TEST_F(Parquet, NullsAreMalformedRows) {
  const std::string path = write({{"text", strings({"a", {}, "b", {}, "c"})}}, 2);
  testing::internal::CaptureStderr();
  DocumentReader reader({path}, {});
  EXPECT_EQ(rest_of(reader), (Documents{"a", "b", "c"}));
  EXPECT_EQ(reader.counts().bad_rows, 2u);
  const std::string warning = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(contains(warning, path + ": row 2: column 'text' is null")) << warning;
  ReaderOptions strict;
  strict.strict = true;
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({path}, strict); }), "row 2"));
}

TEST_F(Parquet, AWrongColumn) {
  const std::string path =
      write({{"text", strings({"a"})}, {"id", array_of<arrow::Int64Builder, int64_t>({1})}});
  ReaderOptions options;
  options.field = "txt";
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({path}, options); }),
                       path + ": no column 'txt'; the file has: text, id. Did you mean 'text'?"));
  options.field = "id";
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({path}, options); }),
                       "column 'id' is INT64, expected strings or bytes"));
  options.field = "text";
  options.min_scores = {{"text", 1}};
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_all({path}, options); }),
                       "column 'text' is BYTE_ARRAY as String, expected numbers"));
}

TEST_F(Parquet, NestedColumnsAndLists) {
  const auto text = strings({"a", {}, "c"});
  const auto nested = *arrow::StructArray::Make({text}, std::vector<std::string>{"body"});
  arrow::ListBuilder lists(arrow::default_memory_pool(), std::make_shared<arrow::StringBuilder>());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(lists.Append().ok());
  const std::string path = write({{"doc", nested}, {"list", *lists.Finish()}});
  ReaderOptions options;
  options.field = "doc.body";
  testing::internal::CaptureStderr();
  EXPECT_EQ(read_all({path}, options), (Documents{"a", "c"}));
  testing::internal::GetCapturedStderr();
  options.field = "list.list.element";
  const std::string message = error_of(ErrorKind::data, [&] { read_all({path}, options); });
  EXPECT_TRUE(contains(message, "is a list, expected strings or bytes")) << message;
}

Columns scored_rows() {
  return {{"text", strings({"a", "b", "c", "d", {}, "f"})},
          {"i8", array_of<arrow::Int8Builder, int8_t>({5, 1, 3, 3, 5, 5})},
          {"i64", array_of<arrow::Int64Builder, int64_t>({5, 5, 2, 3, 5, {}})},
          {"f", array_of<arrow::FloatBuilder, float>({5, 5, 5, 2.5, 5, 5})},
          {"d", array_of<arrow::DoubleBuilder, double>({2.75, 5, 5, 5, 5, 5})}};
}

TEST_F(Parquet, MinimumScoresOfEveryNumberType) {
  const std::string path = write(scored_rows(), 4);
  testing::internal::CaptureStderr();
  const auto kept = [&](const std::vector<MinScore>& scores) {
    ReaderOptions options;
    options.min_scores = scores;
    return read_all({path}, options);
  };
  EXPECT_EQ(kept({{"i8", 3}}), (Documents{"a", "c", "d", "f"}));
  EXPECT_EQ(kept({{"i64", 3}}), (Documents{"a", "b", "d"}));
  EXPECT_EQ(kept({{"f", 2.6}}), (Documents{"a", "b", "c", "f"}));
  EXPECT_EQ(kept({{"d", 2.76}}), (Documents{"b", "c", "d", "f"}));
  ReaderOptions all;
  all.min_scores = {{"i8", 2}, {"i64", 2.5}, {"f", 0}};
  DocumentReader reader({path}, all);
  EXPECT_EQ(rest_of(reader), (Documents{"a", "d"}));
  EXPECT_EQ(reader.counts().low_scores, 2u);
  EXPECT_EQ(reader.counts().bad_rows, 2u);
  testing::internal::GetCapturedStderr();
}

// What is stored in signed integers means numbers up to 2^32 and 2^64.
TEST_F(Parquet, ScoresWithoutSign) {
  const std::string path =
      write({{"text", strings({"a", "b"})},
             {"u8", array_of<arrow::UInt8Builder, uint8_t>({200, 1})},
             {"u16", array_of<arrow::UInt16Builder, uint16_t>({60000, 1})},
             {"u32", array_of<arrow::UInt32Builder, uint32_t>({4000000000u, 1})},
             {"u64", array_of<arrow::UInt64Builder, uint64_t>({18000000000000000000u, 1})},
             {"i16", array_of<arrow::Int16Builder, int16_t>({5, -5})}});
  for (const std::string name : {"u8", "u16", "u32", "u64", "i16"}) {
    ReaderOptions options;
    options.min_scores = {{name, 3}};
    EXPECT_EQ(read_all({path}, options), Documents{"a"}) << name;
    options.min_scores = {{name, -100}};
    EXPECT_EQ(read_all({path}, options), (Documents{"a", "b"})) << name;
  }
}

// Columns whose stored values are not the numbers that they mean are refused by name.
TEST_F(Parquet, ScoresThatAreNoPlainNumbers) {
  const auto decimals = array_of<arrow::Decimal128Builder, arrow::Decimal128>(
      {arrow::Decimal128(5)},
      arrow::Decimal128Builder(arrow::decimal128(9, 2), arrow::default_memory_pool()));
  const std::string path = write({{"text", strings({"a"})},
                                  {"half", array_of<arrow::HalfFloatBuilder, uint16_t>({0x4200})},
                                  {"decimal", decimals},
                                  {"day", array_of<arrow::Date32Builder, int32_t>({5})},
                                  {"good", array_of<arrow::BooleanBuilder, bool>({true})}});
  for (const std::string name : {"half", "decimal", "day", "good"}) {
    ReaderOptions options;
    options.min_scores = {{name, 1}};
    const std::string message = error_of(ErrorKind::data, [&] { read_all({path}, options); });
    EXPECT_TRUE(contains(message, path + ": column '" + name + "' is ") &&
                contains(message, ", expected numbers"))
        << message;
  }
}

TEST_F(Parquet, SkipIsAsIfRead) {
  std::vector<std::optional<std::string>> values, whole;
  std::vector<std::optional<int32_t>> scores;
  for (int i = 0; i < 60; ++i) {
    whole.push_back(std::to_string(i));
    values.push_back(i >= 20 && i % 7 == 3 ? std::nullopt : whole.back());
    scores.push_back(i % 4);
  }
  parquet::WriterProperties::Builder no_statistics;
  no_statistics.disable_statistics();
  const auto score_array = array_of<arrow::Int32Builder>(scores);
  const std::vector<std::string> paths = {write({{"text", strings(values)}, {"s", score_array}}, 10,
                                                no_statistics.build(), "a.parquet"),
                                          write({{"text", strings(values)}, {"s", score_array}}, 10,
                                                parquet::default_writer_properties(), "b.parquet"),
                                          write({{"text", strings(whole)}, {"s", score_array}}, 25,
                                                parquet::default_writer_properties(), "c.parquet")};
  testing::internal::CaptureStderr();
  for (const bool filtered : {false, true}) {
    ReaderOptions options;
    if (filtered) options.min_scores = {{"s", 2}};
    const Documents all = read_all(paths, options);
    for (size_t place = 0; place <= all.size(); ++place) {
      DocumentReader read(paths, options), skipped(paths, options);
      std::string document;
      for (size_t i = 0; i < place; ++i) EXPECT_TRUE(read.next(document));
      // In two steps: into a row group and on from there.
      EXPECT_TRUE(skipped.skip(place / 2));
      EXPECT_TRUE(skipped.skip(place - place / 2));
      EXPECT_EQ(read.counts().bad_rows, skipped.counts().bad_rows);
      EXPECT_EQ(read.counts().low_scores, skipped.counts().low_scores);
      ASSERT_EQ(rest_of(skipped), Documents(all.begin() + static_cast<long>(place), all.end()));
    }
    DocumentReader beyond(paths, options);
    EXPECT_FALSE(beyond.skip(all.size() + 1));
  }
  testing::internal::GetCapturedStderr();
}

TEST_F(Parquet, CutOffAndDamagedFiles) {
  std::vector<std::optional<std::string>> values;
  for (int i = 0; i < 300; ++i) values.push_back("row " + std::to_string(i * 7919));
  parquet::WriterProperties::Builder properties;
  properties.compression(arrow::Compression::ZSTD)->enable_page_checksum();
  const std::string path = write({{"text", strings(values)}}, 100, properties.build());
  const std::string whole = read_file(path);
  const auto message_of = [&](const std::string& content) {
    write_plain(path, content);
    const std::string message = error_of(ErrorKind::data, [&] { read_all({path}); });
    EXPECT_TRUE(message.starts_with(path + ": ")) << message;
    return message;
  };
  for (const size_t size :
       {size_t{4}, size_t{11}, size_t{12}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_TRUE(contains(message_of(whole.substr(0, size)),
                         "byte " + std::to_string(size) + ": the Parquet file is cut off"));
  }
  EXPECT_TRUE(contains(message_of(""), "byte 0: not a Parquet file"));
  EXPECT_TRUE(contains(message_of("PAR0" + whole.substr(4)), "byte 0: not a Parquet file"));
  std::string damaged = whole;
  damaged[whole.size() / 2] ^= 0x55;  // in the last row group
  EXPECT_TRUE(contains(message_of(damaged), "row group 2: could not verify page"))
      << message_of(damaged);
  damaged = whole;
  for (size_t i = 20; i < 60; ++i) damaged[whole.size() - i] ^= 0x55;
  message_of(damaged);
  damaged = whole;
  damaged[whole.size() - 6] = '\x7f';
  EXPECT_TRUE(contains(message_of(damaged), "damaged metadata"));
}

// One byte changed anywhere: an error or text, never a crash.
TEST_F(Parquet, AnyByteChanged) {
  const std::string path = write({{"text", strings({"a", "b", {}, "a longer text"})},
                                  {"s", array_of<arrow::Int32Builder, int32_t>({1, 2, 3, 4})}},
                                 2);
  const std::string whole = read_file(path);
  testing::internal::CaptureStderr();
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] ^= 0x41;
    write_plain(path, damaged);
    try {
      read_all({path});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
      ++refused;
    }
  }
  testing::internal::GetCapturedStderr();
  EXPECT_GT(refused, 20);
}

TEST_F(Parquet, FromStandardInput) {
  const std::string path = write({{"text", texts<arrow::StringBuilder>()}}, 2);
  ReaderOptions options;
  options.format = InputFormat::parquet;
  const int saved = dup(STDIN_FILENO);
  const int file = open(path.c_str(), O_RDONLY);
  dup2(file, STDIN_FILENO);
  EXPECT_EQ(read_all({"-"}, options), kTexts);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string content = read_file(path);
  ASSERT_EQ(::write(ends[1], content.data(), content.size()), static_cast<ssize_t>(content.size()));
  close(ends[1]);
  dup2(ends[0], STDIN_FILENO);
  EXPECT_EQ(read_all({"-"}, options), kTexts);
  for (const int descriptor : {file, ends[0]}) close(descriptor);
  dup2(saved, STDIN_FILENO);
  close(saved);
}

// From a named pipe, told by content or said, and inside a compression, which is refused.
TEST_F(Parquet, FromANamedPipe) {
  const std::string content = read_file(write({{"text", texts<arrow::StringBuilder>()}}, 2));
  const std::string path = (scratch_ / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  for (const InputFormat format : {InputFormat::automatic, InputFormat::parquet}) {
    std::thread writer([&] { std::ofstream(path, std::ios::binary) << content; });
    ReaderOptions options;
    options.format = format;
    testing::internal::CaptureStderr();
    EXPECT_EQ(read_all({path}, options), kTexts);
    testing::internal::GetCapturedStderr();
    writer.join();
  }
}

TEST_F(Parquet, AnEmptyTable) {
  EXPECT_EQ(read_all({write({{"text", strings({})}})}), Documents{});
}

std::string without_space(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

// The large test data are one text, cut into documents at blank lines.
TEST_F(Parquet, TheLargeTestData) {
  const char* named = std::getenv("MYTHOS_TEST_DATA");
  const fs::path data = fs::path(named ? named : MYTHOS_SOURCE_DIR "/../shared") / "data";
  if (!fs::exists(data / "parquet")) GTEST_SKIP() << "no " << data / "parquet";
  const Documents documents = read_all({(data / "parquet").string()});
  EXPECT_EQ(documents.size(), 656u);
  std::string together;
  for (const std::string& document : documents) together += document;
  EXPECT_EQ(without_space(together), without_space(read_file(data / "text/tinyshakespeare.txt")));
}

}  // namespace
}  // namespace mythos
