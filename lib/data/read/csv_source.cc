#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "data/read/csv_record.h"
#include "data/read/input_buffer.h"
#include "data/read/sources.h"

namespace mythos {
namespace {

// A larger record counts as one whose quote is not closed.
constexpr size_t kMostRecordBytes = 1 << 30;

size_t line_bytes(std::string_view text) {
  return std::min(text.find_first_of("\r\n"), text.size() - 1) + 1;
}

class CsvSource : public DocumentSource {
 public:
  CsvSource(std::string name, std::unique_ptr<ByteStream> stream, char delimiter,
            const ReaderOptions& options, RowLog& rows)
      : name_(std::move(name)),
        buffer_(std::move(stream)),
        delimiter_(delimiter),
        options_(options),
        rows_(rows) {
    read_header();
  }

  bool next(std::string& document) override {
    while (next_record()) {
      if (!accept()) continue;
      fields_[text_].decode(document);
      return true;
    }
    return false;
  }
  uint64_t skip(uint64_t documents) override {
    uint64_t skipped = 0;
    while (skipped < documents && next_record()) skipped += accept();
    return skipped;
  }
  uint64_t stored_bytes() const override { return buffer_.stored_bytes(); }

 private:
  std::string place() const { return strprintf("%s:%u: ", name_, line_number_); }

  // Cuts the next record that is no blank line into fields_, or sets fault_ to what is wrong with
  // it. If a quote is not closed, only the first line is given up, as the record may reach into
  // many others. Returns false at the end.
  bool next_record() {
    while (true) {
      const std::string_view record = find_record();
      if (record.empty()) return false;
      if (!fault_) fault_ = split_csv_record(record, delimiter_, fields_);
      const bool blank = record.find_first_not_of("\r\n") == std::string_view::npos;
      take(fault_ ? line_bytes(record) : record.size());
      if (!blank) return true;
    }
  }

  // The next record, or all that follows if its quote is not closed; empty at the end.
  std::string_view find_record() {
    CsvRecordEnd end(delimiter_);
    bool last = false;
    size_t size = 0;
    fault_ = nullptr;
    while ((size = end.find(buffer_.unread(), last)) == std::string_view::npos) {
      if (last || (end.in_quotes() && buffer_.unread().size() > kMostRecordBytes)) {
        fault_ = "a quote is not closed";
        break;
      }
      last = !buffer_.more();
    }
    return buffer_.unread().substr(0, size);
  }

  void take(size_t size_bytes) {
    line_number_ = next_line_;
    next_line_ += buffer_.take_lines(size_bytes);
  }

  void read_header() {
    buffer_.take_byte_order_mark();
    if (!next_record()) return;
    if (fault_) fail(ErrorKind::data, place() + "the columns' names: " + fault_);
    columns_.resize(fields_.size());
    for (size_t i = 0; i < fields_.size(); ++i) fields_[i].decode(columns_[i]);
    text_ = index_of(options_.field);
    for (const MinScore& score : options_.min_scores) scores_.push_back(index_of(score.field));
  }

  size_t index_of(const std::string& column) const {
    const auto found = std::find(columns_.begin(), columns_.end(), column);
    if (found != columns_.end()) return static_cast<size_t>(found - columns_.begin());
    std::vector<std::string> names;
    for (const std::string& name : columns_) names.push_back(escaped(name, 60));
    std::string advice = did_you_mean(column, names);
    const bool other_delimiter =
        columns_.size() == 1 && columns_[0].find_first_of(",;\t|") != std::string::npos;
    if (other_delimiter) {
      advice = " Fields are delimited by ',' in CSV and by tabs in TSV (--format csv or tsv).";
    }
    fail(ErrorKind::data,
         place() + "no column '" + column + "'; the file has: " + join(names, ", ") + "." + advice);
  }

  bool malformed(const std::function<std::string()>& fault) {
    rows_.malformed([&] { return place() + fault(); });
    return false;
  }

  // Whether the record at hand gives a document.
  bool accept() {
    if (fault_) {
      return malformed([&] { return std::string(fault_); });
    }
    if (fields_.size() != columns_.size()) {
      return malformed([&] {
        return strprintf("expected %u fields, as there are columns, got %u", columns_.size(),
                         fields_.size());
      });
    }
    bool high = true;
    for (size_t i = 0; i < scores_.size(); ++i) {
      const std::string_view field = trim(fields_[scores_[i]].text);
      const std::optional<double> number = parse_saturated(field);
      if (!number) {
        return malformed([&] {
          return "column '" + options_.min_scores[i].field + "' is not a number but '" +
                 escaped(field, 40) + "'";
        });
      }
      high = high && *number >= options_.min_scores[i].minimum;
    }
    if (!high) rows_.low_score();
    return high;
  }

  const std::string name_;
  InputBuffer buffer_;
  const char delimiter_;
  const ReaderOptions& options_;
  RowLog& rows_;
  std::vector<std::string> columns_;
  size_t text_ = 0;             // index in columns_
  std::vector<size_t> scores_;  // indices in columns_, in the order of min_scores
  std::vector<CsvField> fields_;
  const char* fault_ = nullptr;
  // Lines on which the record at hand and the next one begin.
  uint64_t line_number_ = 0, next_line_ = 1;
};

}  // namespace

std::unique_ptr<DocumentSource> open_csv(const std::string& name,
                                         std::unique_ptr<ByteStream> stream, char delimiter,
                                         const ReaderOptions& options, RowLog& rows) {
  return std::make_unique<CsvSource>(name, std::move(stream), delimiter, options, rows);
}

}  // namespace mythos
