#include "data/readers.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/signals.h"
#include "base/strings.h"
#include "data/byte_stream.h"
#include "data/input_files.h"
#include "data/json_row.h"
#include "data/sources.h"
#include "data/text_hash.h"

namespace mythos {
namespace {

constexpr size_t kMostScores = 63;  // JsonRow takes 64 paths

InputFormat format_of(const std::string& path, const ReaderOptions& options) {
  return options.format == InputFormat::automatic ? format_by_name(path) : options.format;
}

void check_options(const ReaderOptions& options, const std::vector<std::string>& inputs) {
  parse_json_path(options.field, "--field");
  for (const MinScore& score : options.min_scores) parse_json_path(score.field, "--min-score");
  if (options.min_scores.size() > kMostScores) {
    fail(ErrorKind::usage, strprintf("--min-score is given %zu times, %zu is the most",
                                     options.min_scores.size(), kMostScores));
  }
  for (const std::string& path : inputs) {
    if (!options.min_scores.empty() && format_of(path, options) == InputFormat::text) {
      fail(ErrorKind::usage, "--min-score: " + input_name(path) +
                                 " is read as text, which has no fields. Name JSON lines or "
                                 "Parquet, or say --format.");
    }
  }
}

}  // namespace

DocumentReader::DocumentReader(std::vector<std::string> inputs, ReaderOptions options)
    : inputs_(expand_inputs(inputs)),
      options_(std::move(options)),
      total_bytes_(total_size_bytes(inputs_)),
      rows_(std::make_unique<RowLog>(counts_, options_.strict)) {
  check_options(options_, inputs_);
  if (options_.dedup) seen_ = std::make_unique<TextHashSet>();
}

DocumentReader::~DocumentReader() = default;

bool DocumentReader::next(std::string& document) {
  while (advance()) {
    if (!source_->next(document)) {
      close_source();
    } else if (keeps(document)) {
      ++counts_.documents;
      return true;
    }
  }
  return false;
}

bool DocumentReader::skip(uint64_t documents) {
  if (options_.sample < 1 || options_.dedup) {
    std::string document;
    while (documents > 0 && next(document)) --documents;
    return documents == 0;
  }
  while (documents > 0 && advance()) {
    const uint64_t allowed = options_.limit ? *options_.limit - counts_.documents : documents;
    const uint64_t wanted = std::min(documents, allowed);
    const uint64_t skipped = source_->skip(wanted);
    counts_.documents += skipped;
    documents -= skipped;
    if (skipped < wanted) close_source();
  }
  return documents == 0;
}

// Whether there is a source that may have another document to give.
bool DocumentReader::advance() {
  if (stop_signal() || (options_.limit && counts_.documents >= *options_.limit)) return false;
  if (!source_ && next_input_ < inputs_.size()) source_ = open(inputs_[next_input_++]);
  return source_ != nullptr;
}

void DocumentReader::close_source() {
  finished_bytes_ += source_->stored_bytes();
  source_.reset();
}

bool DocumentReader::keeps(const std::string& document) {
  if (options_.sample >= 1 && !options_.dedup) return true;
  const TextHash hash = hash_text(document);
  if (static_cast<double>(hash.low >> 11) * 0x1.0p-53 >= options_.sample) {
    ++counts_.unsampled;
    return false;
  }
  if (seen_ && !seen_->insert(hash)) {
    ++counts_.duplicates;
    return false;
  }
  return true;
}

std::string DocumentReader::identity() const {
  nlohmann::ordered_json scores = nlohmann::ordered_json::array();
  for (const MinScore& score : options_.min_scores) {
    scores.push_back({escaped(score.field, score.field.size()), score.minimum});
  }
  nlohmann::ordered_json options = {
      {"format", static_cast<int>(options_.format)},
      {"separator", escaped(options_.separator, options_.separator.size())},
      {"field", escaped(options_.field, options_.field.size())},
      {"strict", options_.strict},
      {"min_scores", scores},
      {"sample", options_.sample},
      {"dedup", options_.dedup}};
  if (options_.limit) options["limit"] = *options_.limit;
  if (options_.text_piece_bytes > 0) options["text_piece_bytes"] = options_.text_piece_bytes;
  return options.dump() + "\n" + describe_files(inputs_);
}

std::unique_ptr<DocumentSource> DocumentReader::open(const std::string& path) {
  switch (format_of(path, options_)) {
    case InputFormat::jsonl:
      return open_jsonl(path, options_, *rows_);
    case InputFormat::parquet:
      return open_parquet(path, options_, *rows_);
    default:
      return open_text(path, options_);
  }
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
