#include "data/readers.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "data/byte_stream.h"

namespace mythos {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

// Cuts a stream at a separator.
class Splitter {
 public:
  Splitter(std::unique_ptr<ByteStream> stream, std::string separator)
      : stream_(std::move(stream)), separator_(std::move(separator)) {}

  // The next part, without its separator. `terminated` tells whether one followed. False at the
  // end.
  bool next(std::string& part, bool& terminated) {
    size_t searched = begin_;
    while (true) {
      const size_t at = separator_.empty() ? std::string::npos : buffer_.find(separator_, searched);
      if (at != std::string::npos) {
        part.assign(buffer_, begin_, at - begin_);
        begin_ = at + separator_.size();
        terminated = true;
        return true;
      }
      buffer_.erase(0, begin_);
      begin_ = 0;
      searched = buffer_.size() - std::min(buffer_.size(), separator_.size());
      if (!fill()) break;
    }
    part = std::exchange(buffer_, {});
    terminated = false;
    return !std::exchange(ended_, true);
  }
  uint64_t stored_bytes() const { return stream_->stored_bytes(); }

 private:
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
    bool terminated = false;
    return parts_.next(document, terminated) && (whole_ || terminated || !document.empty());
  }
  uint64_t stored_bytes() const override { return parts_.stored_bytes(); }

 private:
  bool whole_;
  Splitter parts_;
};

class JsonlSource : public DocumentSource {
 public:
  JsonlSource(std::string name, std::unique_ptr<ByteStream> stream, std::string field,
              std::function<void(const std::string&)> on_bad_row)
      : name_(std::move(name)),
        lines_(std::move(stream), "\n"),
        field_(std::move(field)),
        on_bad_row_(std::move(on_bad_row)) {}

  bool next(std::string& document) override {
    std::string line;
    bool terminated = false;
    while (lines_.next(line, terminated)) {
      ++line_number_;
      if (trim(line).empty()) continue;
      const std::string fault = parse(line, document);
      if (fault.empty()) return true;
      on_bad_row_(strprintf("%s:%llu: %s", name_.c_str(),
                            static_cast<unsigned long long>(line_number_), fault.c_str()));
    }
    return false;
  }
  uint64_t stored_bytes() const override { return lines_.stored_bytes(); }

 private:
  // What is wrong with the row, or nothing.
  std::string parse(const std::string& line, std::string& document) const {
    nlohmann::json row;
    try {
      row = nlohmann::json::parse(line);
    } catch (const nlohmann::json::parse_error& error) {
      return strprintf("not valid JSON at column %zu: %s", error.byte, escaped(line, 60).c_str());
    }
    if (!row.is_object()) return std::string("expected a JSON object, got ") + row.type_name();
    const auto field = row.find(field_);
    if (field == row.end()) {
      std::vector<std::string> names;
      for (const auto& [name, value] : row.items()) names.push_back(name);
      return "no field '" + field_ + "'; the row has: " + join(names, ", ") + "." +
             did_you_mean(field_, names);
    }
    if (!field->is_string()) {
      return "field '" + field_ + "' is not a string but " + field->type_name();
    }
    document = std::move(field->get_ref<std::string&>());
    return "";
  }

  std::string name_;
  Splitter lines_;
  std::string field_;
  std::function<void(const std::string&)> on_bad_row_;
  uint64_t line_number_ = 0;
};

InputFormat format_by_name(std::string_view path) {
  if (path.ends_with(".zst")) path.remove_suffix(4);
  const bool jsonl = path.ends_with(".jsonl") || path.ends_with(".ndjson");
  return jsonl ? InputFormat::jsonl : InputFormat::text;
}

}  // namespace

DocumentReader::DocumentReader(std::vector<std::string> inputs, ReaderOptions options)
    : inputs_(std::move(inputs)), options_(std::move(options)) {
  bool known = true;
  for (const std::string& path : inputs_) {
    std::error_code status;
    if (path == "-" || !fs::is_regular_file(path, status)) {
      known = false;
      if (path != "-" && !fs::exists(path, status)) {
        fail(ErrorKind::data, "cannot open " + path + ": no such file");
      }
      continue;
    }
    total_bytes_ += fs::file_size(path);
  }
  if (!known) total_bytes_ = 0;
}

DocumentReader::~DocumentReader() = default;

bool DocumentReader::next(std::string& document) {
  while (source_ || next_input_ < inputs_.size()) {
    if (!source_) source_ = open(inputs_[next_input_++]);
    if (source_->next(document)) {
      ++counts_.documents;
      return true;
    }
    finished_bytes_ += source_->stored_bytes();
    source_.reset();
  }
  return false;
}

bool DocumentReader::skip(uint64_t documents) {
  for (std::string document; documents > 0; --documents) {
    if (!next(document)) return false;
  }
  return true;
}

std::string DocumentReader::identity() const {
  return join(inputs_, "\n");
}

std::unique_ptr<DocumentSource> DocumentReader::open(const std::string& path) {
  const bool automatic = options_.format == InputFormat::automatic;
  const InputFormat format = automatic ? format_by_name(path) : options_.format;
  auto stream = open_byte_stream(path, automatic);
  if (format == InputFormat::text) {
    return std::make_unique<TextSource>(std::move(stream), options_.separator);
  }
  return std::make_unique<JsonlSource>(input_name(path), std::move(stream), options_.field,
                                       [this](const std::string& message) { on_bad_row(message); });
}

void DocumentReader::on_bad_row(const std::string& message) {
  if (options_.strict) fail(ErrorKind::data, message + "\nWithout --strict such rows are skipped.");
  if (counts_.bad_rows++ == 0)
    log_warning(message + " (row skipped; further ones are only counted)");
}

uint64_t DocumentReader::stored_bytes() const {
  return finished_bytes_ + (source_ ? source_->stored_bytes() : 0);
}

std::string unescape(const std::string& text, const std::string& option) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char kind = i + 1 < text.size() ? text[++i] : '\0';
    const auto hex = [](char c) { return std::string_view("0123456789abcdefABCDEF").find(c) < 22; };
    if (kind == 'n')
      out += '\n';
    else if (kind == 't')
      out += '\t';
    else if (kind == 'r')
      out += '\r';
    else if (kind == '0')
      out += '\0';
    else if (kind == '\\')
      out += '\\';
    else if (kind == 'x' && i + 2 < text.size() && hex(text[i + 1]) && hex(text[i + 2])) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      fail(ErrorKind::usage, option + " '" + text +
                                 "': after a backslash, expected one of n t r 0 \\ xHH "
                                 "(write \\\\ for a backslash)");
    }
  }
  return out;
}

}  // namespace mythos
