#include "data/sources.h"

#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/strings.h"
#include "data/byte_stream.h"
#include "data/json_row.h"

namespace mythos {
namespace {

// Cuts a stream at a separator.
class Splitter {
 public:
  Splitter(std::unique_ptr<ByteStream> stream, std::string separator)
      : stream_(std::move(stream)), separator_(std::move(separator)) {}

  // The next part, without its separator; it lies here until the next call. `terminated` tells
  // whether a separator followed. False at the end and after stop_signal().
  bool next(std::string_view& part, bool& terminated) {
    size_t searched = begin_;
    while (true) {
      const size_t at = separator_.empty() ? std::string_view::npos : find(searched);
      if (at != std::string_view::npos) {
        part = std::string_view(buffer_).substr(begin_, at - begin_);
        begin_ = at + separator_.size();
        terminated = true;
        return true;
      }
      buffer_.erase(0, begin_);
      begin_ = 0;
      searched = buffer_.size() - std::min(buffer_.size(), separator_.size());
      if (!fill()) break;
    }
    part = buffer_;
    begin_ = buffer_.size();
    terminated = false;
    return !std::exchange(ended_, true) && !stop_signal();
  }
  uint64_t stored_bytes() const { return stream_->stored_bytes(); }

 private:
  static constexpr size_t kChunkBytes = 1 << 20;

  size_t find(size_t from) const { return buffer_.find(separator_, from); }

  bool fill() {
    if (ended_) return false;
    const size_t size = buffer_.size();
    buffer_.resize(size + kChunkBytes);
    const size_t got = stream_->read({buffer_.data() + size, kChunkBytes});
    buffer_.resize(size + got);
    return got > 0;
  }

  std::unique_ptr<ByteStream> stream_;
  std::string separator_, buffer_;
  size_t begin_ = 0;
  bool ended_ = false;
};

class TextSource : public DocumentSource {
 public:
  TextSource(std::unique_ptr<ByteStream> stream, std::string separator)
      : whole_(separator.empty()), parts_(std::move(stream), std::move(separator)) {}

  bool next(std::string& document) override {
    std::string_view part;
    if (!next_part(part)) return false;
    document = part;
    return true;
  }
  uint64_t skip(uint64_t documents) override {
    uint64_t skipped = 0;
    for (std::string_view part; skipped < documents && next_part(part);) ++skipped;
    return skipped;
  }
  uint64_t stored_bytes() const override { return parts_.stored_bytes(); }

 private:
  bool next_part(std::string_view& part) {
    bool terminated = false;
    return parts_.next(part, terminated) && (whole_ || terminated || !part.empty());
  }

  bool whole_;
  Splitter parts_;
};

// A text of any size in pieces that fit into memory.
class TextPieces : public DocumentSource {
 public:
  TextPieces(std::unique_ptr<ByteStream> stream, size_t piece_bytes)
      : stream_(std::move(stream)), piece_bytes_(piece_bytes) {}

  bool next(std::string& piece) override {
    fill();
    const bool last = buffer_.size() < piece_bytes_;
    const size_t line = last ? std::string::npos : buffer_.rfind('\n');
    const size_t size = line == std::string::npos ? whole_characters(last) : line + 1;
    piece.assign(buffer_, 0, size);
    buffer_.erase(0, size);
    return size > 0 && !stop_signal();
  }
  uint64_t stored_bytes() const override { return stream_->stored_bytes(); }

 private:
  void fill() {
    size_t size = buffer_.size();
    buffer_.resize(piece_bytes_);
    while (size < piece_bytes_) {
      const size_t got = stream_->read({buffer_.data() + size, piece_bytes_ - size});
      if (got == 0) break;
      size += got;
    }
    buffer_.resize(size);
  }
  // All of the buffer, or as much as does not end inside a character that goes on behind it.
  size_t whole_characters(bool last) const {
    for (size_t back = 1; !last && back <= 3 && back < buffer_.size(); ++back) {
      const size_t at = buffer_.size() - back;
      if ((static_cast<unsigned char>(buffer_[at]) & 0xC0) == 0x80) continue;
      return static_cast<unsigned char>(buffer_[at]) >= 0xC0 ? at : buffer_.size();
    }
    return buffer_.size();
  }

  std::unique_ptr<ByteStream> stream_;
  size_t piece_bytes_;
  std::string buffer_;
};

// Text that begins as Parquet does is a mistake far more often than a text.
std::unique_ptr<ByteStream> open_text_stream(const std::string& path,
                                             const ReaderOptions& options) {
  auto stream = open_byte_stream(path);
  if (options.format == InputFormat::automatic && stream->peek(4).starts_with("PAR1")) {
    fail(ErrorKind::data, input_name(path) +
                              ": this begins as a Parquet file does. Say --format parquet, or "
                              "--format text to read it as it is.");
  }
  return stream;
}

class JsonlSource : public DocumentSource {
 public:
  JsonlSource(const std::string& path, const ReaderOptions& options, RowLog& rows)
      : name_(input_name(path)),
        lines_(open_text_stream(path, options), "\n"),
        options_(options),
        rows_(rows),
        row_(paths(options)) {}

  bool next(std::string& document) override {
    for (std::string_view line; next_line(line);) {
      if (!accept(line)) continue;
      JsonRow::decode_string(row_.value(0), document);
      return true;
    }
    return false;
  }

  uint64_t skip(uint64_t documents) override {
    uint64_t skipped = 0;
    // Without strict, a line must be read to know that it holds a document.
    const bool all_lines = options_.strict && options_.min_scores.empty();
    for (std::string_view line; skipped < documents && next_line(line);) {
      skipped += all_lines || accept(line);
    }
    return skipped;
  }
  uint64_t stored_bytes() const override { return lines_.stored_bytes(); }

 private:
  static std::vector<JsonPath> paths(const ReaderOptions& options) {
    std::vector<JsonPath> paths = {parse_json_path(options.field, "--field")};
    for (const MinScore& score : options.min_scores) {
      paths.push_back(parse_json_path(score.field, "--min-score"));
    }
    return paths;
  }

  // The next line that is not blank.
  bool next_line(std::string_view& line) {
    bool terminated = false;
    while (lines_.next(line, terminated)) {
      constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
      if (++line_number_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(3);
      if (!trim(line).empty()) return true;
    }
    return false;
  }

  bool malformed(const std::function<std::string()>& fault) {
    rows_.malformed([&] {
      return strprintf("%s:%llu: %s", name_.c_str(), static_cast<unsigned long long>(line_number_),
                       fault().c_str());
    });
    return false;
  }

  // Whether the line gives a document.
  bool accept(std::string_view line) {
    if (!row_.scan(line)) {
      return malformed([&] {
        return strprintf("not valid JSON at column %zu (%s): %s", row_.fault_column(), row_.fault(),
                         escaped(line, 60).c_str());
      });
    }
    if (row_.value(0).empty()) {
      return malformed([&] { return missing(options_.field, line); });
    }
    if (row_.value(0).front() != '"') {
      return malformed([&] {
        return "field '" + options_.field + "' is not a string but " +
               JsonRow::type_name(row_.value(0));
      });
    }
    return has_scores(line);
  }

  bool has_scores(std::string_view line) {
    bool high = true;
    for (size_t i = 0; i < options_.min_scores.size(); ++i) {
      const MinScore& score = options_.min_scores[i];
      const std::string_view value = row_.value(i + 1);
      if (value.empty()) return malformed([&] { return missing(score.field, line); });
      if (std::strcmp(JsonRow::type_name(value), "number") != 0) {
        return malformed([&] {
          return "field '" + score.field + "' is not a number but " + JsonRow::type_name(value);
        });
      }
      double number = 0;
      std::from_chars(value.data(), value.data() + value.size(), number);
      high = high && number >= score.minimum;
    }
    if (!high) rows_.low_score();
    return high;
  }

  // A row without the field.
  static std::string missing(const std::string& field, std::string_view line) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object()) return std::string("expected a JSON object, got ") + row.type_name();
    std::vector<std::string> names;
    for (const auto& [name, value] : row.items()) names.push_back(name);
    return "no field '" + field + "'; the row has: " + join(names, ", ") + "." +
           did_you_mean(field, names);
  }

  std::string name_;
  Splitter lines_;
  const ReaderOptions& options_;
  RowLog& rows_;
  JsonRow row_;
  uint64_t line_number_ = 0;
};

}  // namespace

uint64_t DocumentSource::skip(uint64_t documents) {
  uint64_t skipped = 0;
  for (std::string document; skipped < documents && next(document);) ++skipped;
  return skipped;
}

void RowLog::malformed(const std::function<std::string()>& message) {
  if (strict_) fail(ErrorKind::data, message() + "\nWithout --strict such rows are skipped.");
  if (counts_.bad_rows++ == 0) {
    log_warning(message() + " (row skipped; further ones are only counted)");
  }
}

std::unique_ptr<DocumentSource> open_text(const std::string& path, const ReaderOptions& options) {
  if (options.separator.empty() && options.text_piece_bytes > 0) {
    return std::make_unique<TextPieces>(open_text_stream(path, options), options.text_piece_bytes);
  }
  return std::make_unique<TextSource>(open_text_stream(path, options), options.separator);
}

std::unique_ptr<DocumentSource> open_jsonl(const std::string& path, const ReaderOptions& options,
                                           RowLog& rows) {
  return std::make_unique<JsonlSource>(path, options, rows);
}

}  // namespace mythos
