#include "data/read/parquet_plugin.h"

#include <arrow/io/file.h>
#include <parquet/column_reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <stdexcept>
#include <type_traits>

namespace mythos {
namespace {

// Gives the values of one column of a row group in order, and decompresses one page at a time.
template <class Type>
class Column {
 public:
  using Value = typename Type::c_type;
  explicit Column(std::shared_ptr<parquet::ColumnReader> reader)
      : reader_(std::static_pointer_cast<parquet::TypedColumnReader<Type>>(std::move(reader))),
        full_level_(reader_->descr()->max_definition_level()),
        levels_(kBatchRows, full_level_),
        values_(kBatchRows) {}

  // The next row's value; null if the row has none.
  const Value* next() {
    if (row_ == rows_) read_batch();
    return levels_[row_++] == full_level_ ? &values_[value_++] : nullptr;
  }
  void skip(uint64_t rows) {
    const auto wanted = static_cast<int64_t>(rows);
    const int64_t held = std::min(wanted, rows_ - row_);
    for (int64_t i = 0; i < held; ++i) next();
    if (wanted > held && reader_->Skip(wanted - held) != wanted - held) fail_short();
  }

 private:
  static constexpr int64_t kBatchRows = 1024;

  void read_batch() {
    row_ = rows_ = value_ = 0;
    int64_t values_read = 0;
    if (reader_->HasNext()) {
      rows_ = reader_->ReadBatch(kBatchRows, levels_.data(), nullptr, values_.data(), &values_read);
    }
    if (rows_ == 0) fail_short();
  }
  [[noreturn]] void fail_short() const {
    throw std::runtime_error("column '" + reader_->descr()->path()->ToDotString() +
                             "' ends before the row group does");
  }

  std::shared_ptr<parquet::TypedColumnReader<Type>> reader_;
  int16_t full_level_;  // definition level of a value that is not null
  std::vector<int16_t> levels_;
  std::vector<Value> values_;
  int64_t rows_ = 0, row_ = 0, value_ = 0;
};

class NumberColumn {
 public:
  virtual ~NumberColumn() = default;
  virtual std::optional<double> next() = 0;
  virtual void skip(uint64_t rows) = 0;
};

// Reads numbers. Number is the type that stored values stand for: an unsigned column is stored as
// signed values of Type.
template <class Type, class Number = typename Type::c_type>
class TypedNumberColumn : public NumberColumn {
 public:
  explicit TypedNumberColumn(std::shared_ptr<parquet::ColumnReader> reader)
      : column_(std::move(reader)) {}
  std::optional<double> next() override {
    const auto* value = column_.next();
    if (!value) return std::nullopt;
    return static_cast<double>(static_cast<Number>(*value));
  }
  void skip(uint64_t rows) override { column_.skip(rows); }

 private:
  Column<Type> column_;
};

bool is_unsigned(const parquet::ColumnDescriptor& column) {
  const auto& meaning = column.logical_type();
  return meaning && meaning->is_int() &&
         !static_cast<const parquet::IntLogicalType&>(*meaning).is_signed();
}

std::unique_ptr<NumberColumn> number_column(std::shared_ptr<parquet::ColumnReader> reader) {
  using parquet::Int32Type, parquet::Int64Type;
  const bool no_sign = is_unsigned(*reader->descr());
  switch (reader->type()) {
    case parquet::Type::INT32:
      if (no_sign) {
        return std::make_unique<TypedNumberColumn<Int32Type, uint32_t>>(std::move(reader));
      }
      return std::make_unique<TypedNumberColumn<Int32Type>>(std::move(reader));
    case parquet::Type::INT64:
      if (no_sign) {
        return std::make_unique<TypedNumberColumn<Int64Type, uint64_t>>(std::move(reader));
      }
      return std::make_unique<TypedNumberColumn<Int64Type>>(std::move(reader));
    case parquet::Type::FLOAT:
      return std::make_unique<TypedNumberColumn<parquet::FloatType>>(std::move(reader));
    default:
      return std::make_unique<TypedNumberColumn<parquet::DoubleType>>(std::move(reader));
  }
}

// Whether a column's stored numbers are its values: it holds no decimals, dates or times.
bool is_number(const parquet::ColumnDescriptor& column) {
  const auto type = column.physical_type();
  const auto& meaning = column.logical_type();
  const bool plain = !meaning || meaning->is_none() || meaning->is_int();
  return plain && (type == parquet::Type::INT32 || type == parquet::Type::INT64 ||
                   type == parquet::Type::FLOAT || type == parquet::Type::DOUBLE);
}

bool is_text(const parquet::ColumnDescriptor& column) {
  const auto& meaning = column.logical_type();
  return column.physical_type() == parquet::Type::BYTE_ARRAY && !(meaning && meaning->is_decimal());
}

class ArrowParquetFile : public ParquetFile {
 public:
  explicit ArrowParquetFile(int descriptor) {
    parquet::ReaderProperties properties;
    // Without this a whole column of a row group is read at once.
    properties.enable_buffered_stream();
    properties.set_buffer_size(1 << 18);
    properties.set_page_checksum_verification(true);
    auto file = arrow::io::ReadableFile::Open(descriptor);
    if (!file.ok()) throw std::runtime_error(file.status().message());
    reader_ = parquet::ParquetFileReader::Open(*file, properties);
    about_ = reader_->metadata();
  }

  std::vector<std::string> columns() const override {
    std::vector<std::string> names;
    for (int i = 0; i < about_->num_columns(); ++i) names.push_back(name(i));
    return names;
  }
  int row_groups() const override { return about_->num_row_groups(); }
  uint64_t rows(int row_group) const override {
    return static_cast<uint64_t>(about_->RowGroup(row_group)->num_rows());
  }
  uint64_t offset_bytes(int row_group) const override {
    const auto column = about_->RowGroup(row_group)->ColumnChunk(0);
    const int64_t data = column->data_page_offset();
    const bool dictionary =
        column->has_dictionary_page() && column->dictionary_page_offset() < data;
    return static_cast<uint64_t>(dictionary ? column->dictionary_page_offset() : data);
  }
  std::optional<uint64_t> nulls(int row_group, int column) const override {
    if (about_->schema()->Column(column)->max_definition_level() == 0) return 0;
    const auto statistics = about_->RowGroup(row_group)->ColumnChunk(column)->statistics();
    if (!statistics || !statistics->HasNullCount()) return std::nullopt;
    return static_cast<uint64_t>(statistics->null_count());
  }

  void choose(int text, std::vector<int> numbers) override {
    text_ = text;
    numbers_ = std::move(numbers);
    check(text_, is_text, "strings or bytes");
    for (const int column : numbers_) check(column, is_number, "numbers");
  }

  void start(int row_group) override {
    const auto group = reader_->RowGroup(row_group);
    text_column_.emplace(group->Column(text_));
    number_columns_.clear();
    for (const int column : numbers_) {
      number_columns_.push_back(number_column(group->Column(column)));
    }
  }
  void skip(uint64_t rows) override {
    text_column_->skip(rows);
    for (const auto& column : number_columns_) column->skip(rows);
  }
  void next(ParquetRow& row) override {
    const parquet::ByteArray* text = text_column_->next();
    row.text.reset();
    if (text) row.text.emplace(reinterpret_cast<const char*>(text->ptr), text->len);
    row.numbers.clear();
    for (const auto& column : number_columns_) row.numbers.push_back(column->next());
  }

 private:
  std::string name(int column) const {
    return about_->schema()->Column(column)->path()->ToDotString();
  }
  void check(int index, bool (*is_good)(const parquet::ColumnDescriptor&),
             const char* expected) const {
    const parquet::ColumnDescriptor& column = *about_->schema()->Column(index);
    std::string found;
    if (column.max_repetition_level() > 0) {
      found = "a list";
    } else if (!is_good(column)) {
      found = parquet::TypeToString(column.physical_type());
      if (column.logical_type() && !column.logical_type()->is_none()) {
        found += " as " + column.logical_type()->ToString();
      }
    }
    if (!found.empty()) {
      throw std::runtime_error("column '" + name(index) + "' is " + found + ", expected " +
                               expected);
    }
  }

  std::unique_ptr<parquet::ParquetFileReader> reader_;
  std::shared_ptr<parquet::FileMetaData> about_;
  int text_ = 0;
  std::vector<int> numbers_;
  std::optional<Column<parquet::ByteArrayType>> text_column_;
  std::vector<std::unique_ptr<NumberColumn>> number_columns_;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) ParquetFile* mythos_open_parquet_file(
    int descriptor) {
  return new ArrowParquetFile(descriptor);
}

}  // namespace mythos
