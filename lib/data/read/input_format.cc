#include "data/read/input_format.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "data/read/byte_stream.h"
#include "data/read/codecs.h"
#include "data/read/foreign_format.h"
#include "data/read/json_row.h"
#include "data/read/json_value_end.h"

namespace mythos {
namespace {

struct KnownName {
  std::string_view suffix;
  InputFormat format;
};
constexpr KnownName kKnownNames[] = {
    {".txt", InputFormat::text},        {".text", InputFormat::text},
    {".md", InputFormat::text},         {".markdown", InputFormat::text},
    {".rst", InputFormat::text},        {".adoc", InputFormat::text},
    {".org", InputFormat::text},        {".tex", InputFormat::text},
    {".jsonl", InputFormat::jsonl},     {".ndjson", InputFormat::jsonl},
    {".jsonlines", InputFormat::jsonl}, {".json", InputFormat::json},
    {".csv", InputFormat::csv},         {".tsv", InputFormat::tsv},
    {".parquet", InputFormat::parquet},
};

constexpr std::string_view kSpace = " \t\r\n";

std::string_view without_space(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

// Whether a Parquet file begins here: after its magic number stands a Thrift field, and no text.
bool begins_as_parquet(std::string_view start) {
  return start.starts_with("PAR1") && start.size() > 4 && start[4] > 0 && start[4] < ' ' &&
         kSpace.find(start[4]) == std::string_view::npos;
}

// Whether a text is JSON or, if `cut` says that more follows, may be the beginning of JSON.
bool is_json(std::string_view text, bool cut) {
  constexpr size_t kLongestToken = 12;  // the two halves of an escaped character
  JsonRow row({});
  return row.scan(text) || (cut && row.fault_column() + kLongestToken > text.size());
}

// Whether an object or an array of objects begins here. A bracket alone does not tell, as many a
// text begins with one.
bool begins_as_rows(std::string_view text) {
  if (text.starts_with('[')) text = without_space(text.substr(1));
  if (!text.starts_with('{')) return false;
  text = without_space(text.substr(1));
  return text.starts_with('"') || text.starts_with('}');
}

// Tells JSON lines, JSON and text apart; `cut` says that more follows after `start`.
InputFormat told_of_json(std::string_view start, bool cut) {
  const std::string_view text = without_space(start);
  if (!begins_as_rows(text)) return InputFormat::text;
  const size_t line_bytes = std::min(text.find('\n'), text.size());
  const bool line_cut = cut && line_bytes == text.size();
  if (text.starts_with('{') && is_json(text.substr(0, line_bytes), line_cut)) {
    return InputFormat::jsonl;
  }
  const size_t value_bytes = JsonValueEnd().find(text);
  const bool value_cut = value_bytes == std::string_view::npos;
  if (!is_json(text.substr(0, value_bytes), value_cut && cut)) return InputFormat::text;
  return InputFormat::json;
}

InputFormat told(std::string_view path, std::string_view start, const ReaderOptions& options) {
  const std::optional<InputFormat> named = format_by_name(path);
  if (begins_as_parquet(start)) return InputFormat::parquet;
  const bool may_be_text = !named || named == InputFormat::text;
  if (may_be_text && !options.separator.empty()) return InputFormat::text;
  if (!may_be_text && named != InputFormat::jsonl && named != InputFormat::json) return *named;
  const bool cut = start.size() >= kTellBytes;
  if (start.starts_with(kByteOrderMark)) start.remove_prefix(kByteOrderMark.size());
  const InputFormat content = told_of_json(start, cut);
  if (content != InputFormat::text || may_be_text) return content;
  // Neither is certain. A damaged first row is only one row among others, unless all rows are in an
  // array.
  const bool array = without_space(start).starts_with('[') && named == InputFormat::json;
  return array ? InputFormat::json : InputFormat::jsonl;
}

}  // namespace

std::optional<InputFormat> format_by_name(std::string_view path) {
  const std::string name = lower_ascii(split_compression(path).path);
  for (const KnownName& known : kKnownNames) {
    if (name.ends_with(known.suffix)) return known.format;
  }
  return std::nullopt;
}

std::string known_names() {
  std::vector<std::string> names;
  for (const KnownName& known : kKnownNames) names.emplace_back(known.suffix);
  return join_or(std::move(names));
}

void check_start(const std::string& path, std::string_view compression, std::string_view start,
                 InputFormat format) {
  const std::string name =
      input_name(path) + (compression.empty() ? "" : " (inside " + std::string(compression) + ")");
  for (const CodecFormat& codec : codec_formats()) {
    if (codec.begins(start)) {
      fail(ErrorKind::data, name + ": this is compressed once more, by " + std::string(codec.name) +
                                ". Decompress it once first.");
    }
  }
  if (const auto foreign = foreign_format(start, split_compression(path).path)) {
    fail(ErrorKind::data, name + ": this is " + foreign->what + ". " + foreign->advice +
                              "; --format text takes its bytes as they are.");
  }
  const bool other = format != InputFormat::automatic && format != InputFormat::parquet;
  if (other && begins_as_parquet(start)) {
    fail(ErrorKind::data,
         name + ": this is Parquet, not " + format_title(format) + ": --format parquet reads it.");
  }
  const auto named = format == InputFormat::automatic ? format_by_name(path) : format;
  if (named && named != InputFormat::text && begins_as_html(start)) {
    fail(ErrorKind::data, name + ": this is an HTML page, not " + format_title(*named) +
                              ". Fetch the file again; --format text reads it as it is.");
  }
}

InputFormat tell_format(const std::string& path, std::string_view compression,
                        std::string_view start, const ReaderOptions& options) {
  check_start(path, compression, start, InputFormat::automatic);
  return told(path, start, options);
}

bool may_begin_utf8(std::string_view start) {
  return utf8_sequence(start.substr(utf8_prefix(start))) == -1;
}

const char* format_title(InputFormat format) {
  switch (format) {
    case InputFormat::jsonl:
      return "JSON lines";
    case InputFormat::json:
      return "JSON";
    case InputFormat::csv:
      return "CSV";
    case InputFormat::tsv:
      return "TSV";
    case InputFormat::parquet:
      return "Parquet";
    default:
      return "text";
  }
}

}  // namespace mythos
