#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The interface of libmythos_parquet.so. It is a shared object of its own because Arrow takes
// longer to load than most texts take to read; parquet_source.cc opens it at the first Parquet
// file. It contains nothing of lib/base, so that the process has only one copy of that.
namespace mythos {

struct ParquetRow {
  // Nothing for a null; a view into the file's buffers until next().
  std::optional<std::string_view> text;
  std::vector<std::optional<double>> numbers;
};

// A Parquet file, read one row group after the other, and each page by page. Throws
// std::runtime_error, saying what is wrong.
class ParquetFile {
 public:
  virtual ~ParquetFile() = default;

  // The names of the columns; a nested field's has dots between levels.
  virtual std::vector<std::string> columns() const = 0;
  virtual int row_groups() const = 0;
  virtual uint64_t rows(int row_group) const = 0;
  virtual uint64_t offset_bytes(int row_group) const = 0;  // of its beginning in the file
  // The number of nulls of a column in a row group; nothing if the metadata do not tell.
  virtual std::optional<uint64_t> nulls(int row_group, int column) const = 0;

  // Chooses the columns that next() gives, by index in columns(): one of strings or bytes, and any
  // number of columns of numbers.
  virtual void choose(int text, std::vector<int> numbers) = 0;
  virtual void start(int row_group) = 0;
  virtual void skip(uint64_t rows) = 0;
  // Sets `row` to the next row of the row group that was started. Must not be called past its end.
  virtual void next(ParquetRow& row) = 0;
};

// Opens a file by its descriptor, which the result owns. The caller owns the result.
using OpenParquetFile = ParquetFile*(int descriptor);
inline constexpr const char* kOpenParquetFile = "mythos_open_parquet_file";

}  // namespace mythos
