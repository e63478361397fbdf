#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What libmythos_parquet.so offers. It is a shared object of its own because Arrow takes longer to
// load than most texts take to read; parquet_source.cc opens it when a Parquet file is met. Nothing
// of lib/base lies in it, so that there is one of everything in the process.
namespace mythos {

struct ParquetRow {
  std::optional<std::string_view> text;  // none: null; lies in the file's buffers until next()
  std::vector<std::optional<double>> numbers;
};

// A Parquet file, read one row group after the other and within it page by page. What is wrong is
// thrown as std::runtime_error.
class ParquetFile {
 public:
  virtual ~ParquetFile() = default;

  // Names of the columns, those of nested fields with a dot between levels.
  virtual std::vector<std::string> columns() const = 0;
  virtual int row_groups() const = 0;
  virtual uint64_t rows(int row_group) const = 0;
  virtual uint64_t offset_bytes(int row_group) const = 0;  // where it begins in the file
  // Of a column in a row group, by the metadata; none where they do not tell.
  virtual std::optional<uint64_t> nulls(int row_group, int column) const = 0;

  // Chooses what next() gives, by index in columns(). Strings and bytes, and numbers.
  virtual void choose(int text, std::vector<int> numbers) = 0;
  virtual void start(int row_group) = 0;
  virtual void skip(uint64_t rows) = 0;
  // The next row of the row group that was started. Not past its end.
  virtual void next(ParquetRow& row) = 0;
};

// Opens a file by a descriptor, which it takes over. The caller owns the result.
using OpenParquetFile = ParquetFile*(int descriptor);
inline constexpr const char* kOpenParquetFile = "mythos_open_parquet_file";

}  // namespace mythos
