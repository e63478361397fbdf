#include "data/read/readers.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "data/read/byte_stream.h"
#include "data/read/foreign_format.h"
#include "data/read/input_files.h"
#include "data/read/input_format.h"
#include "data/read/json_row.h"
#include "data/read/sources.h"
#include "data/read/text_hash.h"

namespace mythos {
namespace {

constexpr size_t kMostScores = 62;  // JsonRow takes 64 paths, up to two of them for the text

void check_options(const ReaderOptions& options) {
  parse_json_path(options.field, "--field");
  parse_json_path(options.mask_field, "--mask-field");
  for (const MinScore& score : options.min_scores) parse_json_path(score.field, "--min-score");
  if (options.min_scores.size() > kMostScores) {
    fail(ErrorKind::usage, strprintf("--min-score is given %u times, %u is the most",
                                     options.min_scores.size(), kMostScores));
  }
}

// Fails on options that need rows of JSON, or of any format, where an input has none.
void check_rows(const std::string& path, InputFormat format, const ReaderOptions& options) {
  const bool json = format == InputFormat::jsonl || format == InputFormat::json;
  if (options.masked() && !json && format != InputFormat::automatic) {
    fail(ErrorKind::usage,
         std::string(options.mask_field.empty() ? "--rows" : "--mask-field") + ": " +
             input_name(path) + " is read as " + format_title(format) +
             "; only rows of JSON say which targets count. Name JSON lines, or say --format.");
  }
  if (options.min_scores.empty() || format != InputFormat::text) return;
  fail(ErrorKind::usage, "--min-score: " + input_name(path) +
                             " is read as text, which has no fields. Name JSON, CSV, TSV or "
                             "Parquet, or say --format.");
}

bool is_regular(const std::string& path) {
  std::error_code ignored;
  return path != "-" && fs::is_regular_file(path, ignored);
}

// Inputs that one line of the log tells about.
struct Note {
  size_t inputs = 0;
  std::string first;

  void add(const std::string& path) {
    if (inputs++ == 0) first = input_name(path);
  }
  std::string names() const {
    return inputs == 1 ? first : first + strprintf(" (and %u more)", inputs - 1);
  }
};

// Facts about the inputs that are worth a line of the log.
struct Notes {
  Note other_format, not_utf8;
  InputFormat format = InputFormat::automatic;  // the format of the first input in other_format

  void log() const {
    if (other_format.inputs > 0) {
      log_info(other_format.names() + ": read as " + format_title(format) +
               ", by its content; --format says otherwise");
    }
    if (not_utf8.inputs > 0) {
      log_warning(
          not_utf8.names() +
          ": not UTF-8; the bytes are taken as they are. To convert them: iconv -f ENCODING "
          "-t UTF-8 FILE > NEW");
    }
  }
};

// Whether an input's name promises another format than the one that was found.
bool is_other_format(const std::string& path, InputFormat told) {
  const InputFormat named = format_by_name(path).value_or(InputFormat::text);
  const bool json = named == InputFormat::json && told == InputFormat::jsonl;
  return named != told && !json;
}

InputFormat tell(const std::string& path, std::string_view compression, std::string_view start,
                 const ReaderOptions& options, Notes& notes) {
  const InputFormat format = tell_format(path, compression, start, options);
  check_rows(path, format, options);
  if (is_other_format(path, format)) {
    if (notes.other_format.inputs == 0) notes.format = format;
    notes.other_format.add(path);
  }
  const bool any_bytes =
      format == InputFormat::text || format == InputFormat::csv || format == InputFormat::tsv;
  if (any_bytes && !may_begin_utf8(start)) notes.not_utf8.add(path);
  return format;
}

// The format of a file; `automatic` if damage hides it, which is reported when the file's turn
// comes.
InputFormat tell_file(const std::string& path, const ReaderOptions& options, Notes& notes) {
  try {
    const auto stream = open_byte_stream(path, options.stop);
    std::string_view start;
    try {
      start = stream->peek(kTellBytes);
    } catch (const Error&) {
      return InputFormat::automatic;
    }
    return tell(path, stream->compression(), start, options, notes);
  } catch (const Error& error) {
    if (!options.skip_damaged || error.kind() != ErrorKind::data) throw;
    return InputFormat::automatic;
  }
}

// Warns of options that have no effect on these inputs.
void warn_of_options(const std::vector<InputFormat>& formats, const ReaderOptions& options) {
  const auto all = [&](auto holds) { return std::ranges::all_of(formats, holds); };
  if (options.field != ReaderOptions().field &&
      all([](InputFormat format) { return format == InputFormat::text; })) {
    log_warning(
        "--field does nothing: all of the input is read as text, which has no fields; "
        "--format says otherwise");
  }
  const auto has_rows = [](InputFormat format) {
    return format != InputFormat::text && format != InputFormat::automatic;
  };
  if (!options.separator.empty() && all(has_rows)) {
    log_warning(
        "--separator does nothing: all of the input is read as rows, which are the documents; "
        "--format says otherwise");
  }
}

}  // namespace

DocumentReader::DocumentReader(std::vector<std::string> inputs, ReaderOptions options)
    : inputs_(expand_inputs(inputs)),
      options_(std::move(options)),
      total_bytes_(total_size_bytes(inputs_)),
      rows_(std::make_unique<RowLog>(counts_, options_.strict)) {
  check_options(options_);
  tell_formats();
  if (options_.dedup) seen_ = std::make_unique<TextHashSet>();
}

DocumentReader::~DocumentReader() = default;

void DocumentReader::tell_formats() {
  formats_.assign(inputs_.size(), options_.format);
  Notes notes;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const bool told = options_.format == InputFormat::automatic && is_regular(inputs_[i]);
    if (told) formats_[i] = tell_file(inputs_[i], options_, notes);
    if (!told) check_rows(inputs_[i], formats_[i], options_);
  }
  notes.log();
  warn_of_options(formats_, options_);
}

bool DocumentReader::next(std::string& document) {
  while (true) {
    try {
      return next_document(document);
    } catch (const Error& error) {
      if (!options_.skip_damaged || error.kind() != ErrorKind::data) throw;
      leave_out_rest(error.message());
    }
  }
}

const std::vector<TextPart>& DocumentReader::parts() const {
  static const std::vector<TextPart> none;
  return source_ ? source_->parts() : none;
}

void DocumentReader::leave_out_rest(const std::string& what) {
  constexpr size_t kMostShown = 20;
  counts_.damaged.push_back({input_name(inputs_[input()]), what});
  if (counts_.damaged.size() <= kMostShown) {
    log_warning(what + " (the input is left out from there on" +
                (counts_.damaged.size() == kMostShown ? "; further ones are only counted)" : ")"));
  }
  if (source_) close_source();
}

bool DocumentReader::next_document(std::string& document) {
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

void DocumentReader::restart() {
  source_.reset();
  next_input_ = 0;
  finished_bytes_ = 0;
  counts_ = {};
  if (seen_) seen_ = std::make_unique<TextHashSet>();
}

bool DocumentReader::skip(uint64_t documents) {
  // Documents that are left out and damage are found only by reading.
  if (options_.sample < 1 || options_.dedup || options_.skip_damaged) {
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

// Moves on to a source that may have another document; returns false if there is none.
bool DocumentReader::advance() {
  options_.stop.throw_if_stopped();
  if (options_.limit && counts_.documents >= *options_.limit) return false;
  if (!source_ && next_input_ < inputs_.size()) source_ = open(next_input_++);
  return source_ != nullptr;
}

void DocumentReader::close_source() {
  finished_bytes_ += source_->stored_bytes();
  if (source_->lacks_separator() && counts_.unseparated++ == 0)
    counts_.first_unseparated = input_name(inputs_[input()]);
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
  if (options_.masked()) {
    options["rows"] = static_cast<int>(options_.rows);
    const ChatFormat& chat = options_.chat;
    const bool from_file = !chat.name.empty() && chat.number == 0;
    options["chat"] = from_file ? chat.to_json() : nlohmann::ordered_json(chat.number);
    options["mask_field"] = escaped(options_.mask_field, options_.mask_field.size());
  }
  if (options_.limit) options["limit"] = *options_.limit;
  if (options_.text_piece_bytes > 0) options["text_piece_bytes"] = options_.text_piece_bytes;
  return options.dump() + "\n" + describe_files(inputs_);
}

std::unique_ptr<DocumentSource> DocumentReader::open(size_t input) {
  const std::string& path = inputs_[input];
  const std::string name = input_name(path);
  auto stream = open_byte_stream(path, options_.stop);
  InputFormat& format = formats_[input];
  if (format == InputFormat::automatic) {
    Notes notes;
    format = tell(path, stream->compression(), stream->peek(kTellBytes), options_, notes);
    notes.log();
    if (inputs_.size() == 1) warn_of_options(formats_, options_);
  } else if (options_.format != InputFormat::automatic && format != InputFormat::text) {
    check_start(path, stream->compression(), stream->peek(kForeignBytes), format);
  }
  switch (format) {
    case InputFormat::jsonl:
      return open_jsonl(name, std::move(stream), options_, *rows_);
    case InputFormat::json:
      return open_json(name, std::move(stream), options_, *rows_);
    case InputFormat::csv:
    case InputFormat::tsv:
      return open_csv(name, std::move(stream), format == InputFormat::csv ? ',' : '\t', options_,
                      *rows_);
    case InputFormat::parquet:
      return open_parquet(path, std::move(stream), options_, *rows_);
    default:
      return open_text(std::move(stream), options_);
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
