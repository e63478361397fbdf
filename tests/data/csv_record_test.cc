#include "data/read/csv_record.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mythos {
namespace {

using Fields = std::vector<std::string>;
using Records = std::vector<Fields>;

// The records of a text that arrives `piece` bytes at a time. One that is malformed is {"!",
// fault}.
Records read(const std::string& text, size_t piece, char delimiter = ',') {
  Records records;
  std::vector<CsvField> fields;
  for (size_t begin = 0; begin < text.size();) {
    CsvRecordEnd end(delimiter);
    size_t have = 0, size = 0;
    do {
      have = std::min(have + piece, text.size() - begin);
      size = end.find(std::string_view(text).substr(begin, have), begin + have == text.size());
    } while (size == std::string::npos && begin + have < text.size());
    if (size == std::string::npos) {
      EXPECT_TRUE(end.in_quotes());
      records.push_back({"!", "open"});
      break;
    }
    EXPECT_GT(size, 0u);
    const char* fault =
        split_csv_record(std::string_view(text).substr(begin, size), delimiter, fields);
    records.push_back(fault ? Fields{"!", fault} : Fields{});
    for (const CsvField& field : fault ? std::vector<CsvField>{} : fields) {
      field.decode(records.back().emplace_back());
    }
    begin += size;
  }
  return records;
}

// The values are those of RFC 4180's examples and of Python's csv module.
TEST(CsvRecord, AsTheStandardSays) {
  const std::vector<std::pair<std::string, Records>> cases = {
      {"aaa,bbb,ccc\r\nzzz,yyy,xxx", {{"aaa", "bbb", "ccc"}, {"zzz", "yyy", "xxx"}}},
      {"\"aaa\",\"b\r\nb\",\"c,c\"\r\n", {{"aaa", "b\r\nb", "c,c"}}},
      {"\"a\"\"b\",\"\"\"\",\"\"\n", {{"a\"b", "\"", ""}}},
      {"a,b\nc,d\re,f\r\n", {{"a", "b"}, {"c", "d"}, {"e", "f"}}},
      {",\n\n,,", {{"", ""}, {""}, {"", "", ""}}},
      {"a\"b,c\"\"d\n", {{"a\"b", "c\"\"d"}}},
      {" \"a\",b\n", {{" \"a\"", "b"}}},
      {"a,\"b\n", {{"!", "open"}}},
      {"\"a\"b,c\nd\n", {{"!", "text behind a closing quote"}, {"d"}}},
      {"a,b\n\"c\"", {{"a", "b"}, {"c"}}},
      {"\"\"", {{""}}},
      {"\r", {{""}}}};
  for (const auto& [text, records] : cases) {
    for (const size_t piece : {1, 2, 3, 100}) EXPECT_EQ(read(text, piece), records) << text;
  }
  EXPECT_EQ(read("a,b\tc\n", 9, '\t'), (Records{{"a,b", "c"}}));
}

// Fields of any bytes, quoted as csv writers do, come back.
TEST(CsvRecord, ReadsWhatWasWritten) {
  Rng rng(3);
  const std::string bytes = "\",\r\n\tab\xFF";
  for (int i = 0; i < 2000; ++i) {
    Records records;
    std::string text;
    for (uint64_t row = rng.below(4) + 1; row > 0; --row) {
      Fields& fields = records.emplace_back();
      for (uint64_t field = rng.below(3) + 1; field > 0; --field) {
        std::string& value = fields.emplace_back();
        for (uint64_t size = rng.below(5); size > 0; --size)
          value += bytes[rng.below(bytes.size())];
        text += '"';
        for (const char c : value) text += c == '"' ? "\"\"" : std::string(1, c);
        text += field == 1 ? "\"\n" : "\",";
      }
    }
    ASSERT_EQ(read(text, rng.below(7) + 1), records) << text;
  }
}

// Whatever the bytes: an end is found or a quote is open, in pieces as at once.
TEST(CsvRecord, TakesAnyBytes) {
  Rng rng(4);
  const std::string bytes = "\"\"\",\r\na";
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t size = rng.below(14); size > 0; --size) text += bytes[rng.below(bytes.size())];
    ASSERT_EQ(read(text, 1), read(text, 100)) << text;
  }
}

}  // namespace
}  // namespace mythos
