#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "data/read/input_buffer.h"
#include "data/read/json_row.h"
#include "data/read/json_value_end.h"
#include "data/read/sources.h"
#include "data/read/splitter.h"

namespace mythos {
namespace {

// Takes documents from members of rows, which are JSON texts.
class JsonSource : public DocumentSource {
 public:
  JsonSource(std::string name, const ReaderOptions& options, RowLog& rows)
      : name_(std::move(name)),
        options_(options),
        rows_(rows),
        fields_(fields(options)),
        row_(paths(options)) {}

  bool next(std::string& document) override {
    for (std::string_view row; next_row(row);) {
      if (!accept(row) || !read_document()) continue;
      std::swap(document, marked_.text);
      return true;
    }
    return false;
  }
  const std::vector<TextPart>& parts() const override { return marked_.parts; }

  uint64_t skip(uint64_t documents) override {
    uint64_t skipped = 0;
    // Unless `strict`, a row must be scanned to know whether it holds a document.
    const bool all_rows =
        options_.strict && options_.min_scores.empty() && options_.rows != RowKind::messages;
    for (std::string_view row; skipped < documents && next_row(row);) {
      const bool known = all_rows && row.find("\\u") == std::string_view::npos;
      skipped += known || (accept(row) && (!options_.masked() || read_document()));
    }
    return skipped;
  }

 protected:
  // Sets `row` to the next row, which stays where it lies until the next call, and notes its line.
  // Returns false at the end.
  virtual bool next_row(std::string_view& row) = 0;
  [[noreturn]] void fail_here(const std::string& what) const {
    fail(ErrorKind::data, place() + what);
  }

  uint64_t line_number_ = 0;  // the line on which the row at hand begins

 private:
  // The fields that make the document.
  static std::vector<std::string> fields(const ReaderOptions& options) {
    if (options.rows == RowKind::completion) return {"prompt", "completion"};
    if (options.rows == RowKind::messages) return {"messages"};
    if (options.mask_field.empty()) return {options.field};
    return {options.field, options.mask_field};
  }
  static std::vector<JsonPath> paths(const ReaderOptions& options) {
    std::vector<JsonPath> paths;
    for (const std::string& field : fields(options))
      paths.push_back(parse_json_path(field, field == options.field ? "--field" : "--mask-field"));
    for (const MinScore& score : options.min_scores) {
      paths.push_back(parse_json_path(score.field, "--min-score"));
    }
    return paths;
  }

  std::string place() const { return strprintf("%s:%u: ", name_, line_number_); }

  bool malformed(const std::function<std::string()>& fault) {
    rows_.malformed([&] { return place() + fault(); });
    return false;
  }

  // Makes the document of a row that was accepted; returns false if the row is malformed after all.
  bool read_document() {
    if (options_.rows == RowKind::messages) return read_messages();
    if (options_.rows == RowKind::completion) {
      marked_ = {};
      for (size_t i = 0; i < 2; ++i) {
        JsonRow::decode_string(row_.value(i), decoded_);
        marked_.add(decoded_, /*counts=*/i == 1);
      }
      return true;
    }
    JsonRow::decode_string(row_.value(0), marked_.text);
    return options_.mask_field.empty() || read_mask();
  }

  bool read_messages() {
    // JsonRow takes numbers and lone surrogates that this parser refuses.
    const auto messages = nlohmann::json::parse(row_.value(0), nullptr, false);
    const std::string fault = messages.is_discarded()
                                  ? "is not plain JSON: a lone surrogate, NaN or Infinity"
                                  : write_conversation(messages, options_.chat, marked_);
    return fault.empty() || malformed([&] { return "field 'messages' " + fault; });
  }

  bool read_mask() {
    const auto ranges = nlohmann::json::parse(row_.value(1), nullptr, false);
    std::string misfit;
    const std::string fault = mark_ranges(ranges, marked_, misfit);
    if (!misfit.empty()) fail_here("the mask '" + options_.mask_field + "': " + misfit);
    return fault.empty() ||
           malformed([&] { return "field '" + options_.mask_field + "' " + fault; });
  }

  // Whether a row has its fields.
  bool accept(std::string_view row) {
    if (!row_.scan(row)) {
      return malformed([&] { return fault_in(row); });
    }
    bool lone_surrogate = false;
    for (size_t i = 0; i < fields_.size(); ++i) {
      const std::string_view value = row_.value(i);
      if (value.empty()) return malformed([&] { return missing(fields_[i], row); });
      if (!is_string(i)) continue;
      if (value.front() != '"') {
        return malformed([&] {
          return "field '" + fields_[i] + "' is not a string but " + JsonRow::type_name(value);
        });
      }
      lone_surrogate = lone_surrogate ||
                       (row_.has_lone_surrogate() && JsonRow::decode_string(value, decoded_) > 0);
    }
    if (!has_scores(row)) return false;
    if (lone_surrogate) rows_.lone_surrogate();
    return true;
  }
  // Whether a field is to hold a string: all but conversations and masks are.
  bool is_string(size_t field) const {
    return options_.rows == RowKind::completion || (options_.rows == RowKind::text && field == 0);
  }

  bool has_scores(std::string_view row) {
    bool high = true;
    for (size_t i = 0; i < options_.min_scores.size(); ++i) {
      const MinScore& score = options_.min_scores[i];
      const std::string_view value = row_.value(i + fields_.size());
      if (value.empty()) return malformed([&] { return missing(score.field, row); });
      if (std::strcmp(JsonRow::type_name(value), "number") != 0) {
        return malformed([&] {
          return "field '" + score.field + "' is not a number but " + JsonRow::type_name(value);
        });
      }
      high = high && JsonRow::decode_number(value) >= score.minimum;
    }
    if (!high) rows_.low_score();
    return high;
  }

  std::string fault_in(std::string_view row) const {
    const std::string_view before = row.substr(0, row_.fault_column() - 1);
    const auto lines = static_cast<uint64_t>(std::count(before.begin(), before.end(), '\n'));
    const size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    return strprintf("not valid JSON at column %u%s (%s): %s", column,
                     lines == 0 ? "" : strprintf(" of line %u", line_number_ + lines), row_.fault(),
                     escaped(row, 60));
  }

  // The message for a row without the field.
  static std::string missing(const std::string& field, std::string_view row) {
    const std::string_view type = JsonRow::type_name(row);
    if (type != "object") return "expected a JSON object, got " + std::string(type);
    const std::vector<std::string> names = JsonRow::member_names(row);
    return "no field '" + field + "'; the row has: " + join(names, ", ") + "." +
           did_you_mean(field, names);
  }

  const std::string name_;
  const ReaderOptions& options_;
  RowLog& rows_;
  const std::vector<std::string> fields_;
  JsonRow row_;
  MarkedText marked_;
  std::string decoded_;
};

class JsonLines : public JsonSource {
 public:
  JsonLines(const std::string& name, std::unique_ptr<ByteStream> stream,
            const ReaderOptions& options, RowLog& rows)
      : JsonSource(name, options, rows), lines_(std::move(stream), "\n") {}
  uint64_t stored_bytes() const override { return lines_.stored_bytes(); }

 private:
  // Sets `line` to the next line that is not blank.
  bool next_row(std::string_view& line) override {
    bool terminated = false;
    while (lines_.next(line, terminated)) {
      if (++line_number_ == 1 && line.starts_with(kByteOrderMark)) {
        line.remove_prefix(kByteOrderMark.size());
      }
      if (!trim(line).empty()) return true;
    }
    return false;
  }

  Splitter lines_;
};

// Reads rows that are elements of arrays or values that stand alone.
class JsonValues : public JsonSource {
 public:
  JsonValues(const std::string& name, std::unique_ptr<ByteStream> stream,
             const ReaderOptions& options, RowLog& rows)
      : JsonSource(name, options, rows), buffer_(std::move(stream)) {}
  uint64_t stored_bytes() const override { return buffer_.stored_bytes(); }

 private:
  bool next_row(std::string_view& value) override {
    if (!std::exchange(begun_, true)) buffer_.take_byte_order_mark();
    while (skip_space()) {
      const char c = buffer_.unread().front();
      line_number_ = line_;
      if (in_array_ && c == ']') {
        in_array_ = false;
      } else if (in_array_ && behind_element_) {
        if (c != ',') fail_here("expected ',' or ']' behind a value of the array");
        behind_element_ = false;
      } else if (!in_array_ && c == '[') {
        in_array_ = true;
        behind_element_ = false;
      } else {
        behind_element_ = true;
        return take_value(value);
      }
      take(1);
    }
    line_number_ = line_;
    if (in_array_) fail_here("the array does not end: the JSON is cut off");
    return false;
  }

  // Skips white space; returns false if nothing follows it.
  bool skip_space() {
    do {
      const std::string_view text = buffer_.unread();
      const size_t space = text.find_first_not_of(" \t\r\n");
      take(std::min(space, text.size()));
      if (space != std::string_view::npos) return true;
    } while (buffer_.more());
    return false;
  }

  bool take_value(std::string_view& value) {
    JsonValueEnd end;
    size_t size = 0;
    while ((size = end.find(buffer_.unread())) == std::string_view::npos) {
      if (buffer_.more()) continue;
      if (end.is_open()) fail_here("the value that begins here does not end: the JSON is cut off");
      size = buffer_.unread().size();
      break;
    }
    if (size == 0)
      fail_here("expected a value, got '" + escaped(buffer_.unread().substr(0, 1)) + "'");
    value = buffer_.unread().substr(0, size);
    take(size);
    return true;
  }

  void take(size_t size_bytes) { line_ += buffer_.take_lines(size_bytes); }

  InputBuffer buffer_;
  bool begun_ = false, in_array_ = false, behind_element_ = false;
  uint64_t line_ = 1;
};

}  // namespace

std::unique_ptr<DocumentSource> open_jsonl(const std::string& name,
                                           std::unique_ptr<ByteStream> stream,
                                           const ReaderOptions& options, RowLog& rows) {
  return std::make_unique<JsonLines>(name, std::move(stream), options, rows);
}

std::unique_ptr<DocumentSource> open_json(const std::string& name,
                                          std::unique_ptr<ByteStream> stream,
                                          const ReaderOptions& options, RowLog& rows) {
  return std::make_unique<JsonValues>(name, std::move(stream), options, rows);
}

}  // namespace mythos
