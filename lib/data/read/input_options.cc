#include "data/read/input_options.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

struct FormatName {
  const char* name;
  InputFormat format;
};
constexpr FormatName kFormatNames[] = {
    {"auto", InputFormat::automatic}, {"text", InputFormat::text}, {"jsonl", InputFormat::jsonl},
    {"json", InputFormat::json},      {"csv", InputFormat::csv},   {"tsv", InputFormat::tsv},
    {"parquet", InputFormat::parquet}};

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const FormatName& known : kFormatNames) names.emplace_back(known.name);
  return names;
}

RowKind row_kind(const InputOptions& options) {
  if (options.rows == "text") return RowKind::text;
  return options.rows == "completion" ? RowKind::completion : RowKind::messages;
}

void check_mask_options(const InputOptions& options) {
  if (options.rows != "text" && options.field != InputOptions().field) {
    fail(ErrorKind::usage,
         "--rows " + options.rows + " reads " +
             (options.rows == "messages" ? "the field 'messages'"
                                         : "the fields 'prompt' and 'completion'") +
             "; --field is for --rows text");
  }
  if (options.rows != "text" && !options.mask_field.empty()) {
    fail(ErrorKind::usage,
         "--rows " + options.rows + " says itself what counts; --mask-field is for --rows text");
  }
  if ((options.rows == "messages") == options.chat_template.empty()) {
    fail(ErrorKind::usage, options.rows == "messages"
                               ? "--rows messages needs --chat-template " + known_chat_names() +
                                     ", or a file that describes the format"
                               : "--chat-template is for --rows messages");
  }
}

MinScore parse_min_score(const std::string& text) {
  const size_t at = text.find(">=");
  const std::string field = std::string(trim(std::string_view(text).substr(0, at)));
  const auto minimum = at == std::string::npos
                           ? std::nullopt
                           : parse_double(trim(std::string_view(text).substr(at + 2)));
  if (field.empty() || !minimum || !std::isfinite(*minimum)) {
    fail(ErrorKind::usage, "--min-score '" + text +
                               "': expected a field, >= and a number, such as 'int_score>=3' (in "
                               "quotes, because > means something to the shell)");
  }
  return {field, *minimum};
}

// A number and its thing: "1 row", "2 rows".
std::string count(uint64_t number, const std::string& thing) {
  return with_commas(number) + " " + thing + (number == 1 ? "" : "s");
}

void add_choice_options(CLI::App& app, InputOptions& options) {
  app.add_option("--min-score", options.min_scores,
                 "Leave out rows whose number FIELD is below X, such as 'int_score>=3'; repeatable")
      ->type_name("FIELD>=X")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false)
      ->group("Input");
  app.add_option("--sample", options.sample,
                 "Keep this share of the documents, chosen by hash of the text (default 1)")
      ->check(CLI::Range(1e-9, 1.0))
      ->type_name("F")
      ->group("Input");
  app.add_flag("--dedup", options.dedup, "Leave out documents whose text came before")
      ->group("Input");
  app.add_option("--limit", options.limit, "Stop after N documents")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 62))
      ->type_name("N")
      ->group("Input");
}

}  // namespace

void add_input_options(CLI::App& app, InputOptions& options) {
  app.add_option(
      "FILE", options.files,
      "Text, JSON lines, JSON, CSV, TSV or Parquet, all but the last also as .zst, .gz or .xz; a "
      "directory, a quoted pattern; '-' or nothing is standard input");
  app.add_option("--format", options.format,
                 "auto: told by content, CSV and TSV by name (.csv, .tsv); what holds no text is "
                 "refused unless text is said (default auto)")
      ->check(CLI::IsMember(format_names()))
      ->group("Input");
  app.add_option("--separator", options.separator,
                 "What stands between the documents of a text file, such as '\\n%\\n'; "
                 "without it a file is one document")
      ->type_name("S")
      ->group("Input");
  app.add_option(
         "--field", options.field,
         "Member of a JSON object, JSON pointer into it (/a/b) or column that holds the text "
         "(default text)")
      ->type_name("NAME")
      ->group("Input");
  CLI::Option* strict =
      app.add_flag("--strict", options.strict, "Stop at a malformed row instead of skipping it")
          ->group("Input");
  app.add_flag("--skip-damaged", options.skip_damaged,
               "Leave out damaged inputs, from the damage on, instead of stopping there")
      ->excludes(strict)
      ->group("Input");
  add_choice_options(app, options);
}

std::vector<CLI::Option*> add_mask_options(CLI::App& app, InputOptions& options) {
  return {app.add_option("--rows", options.rows,
                         "What rows of JSON hold: text; completion (prompt and completion, which "
                         "alone counts); messages (of which the assistant's count) (default text)")
              ->check(CLI::IsMember({"text", "completion", "messages"})),
          app.add_option("--chat-template", options.chat_template,
                         "How --rows messages writes a conversation: " + known_chat_names() +
                             ", or a file that describes the format (mythos-generate(1))")
              ->type_name("FORMAT|FILE"),
          app.add_option("--mask-field", options.mask_field,
                         "Member of a JSON object that lists which bytes of the text count, as "
                         "[[begin, end], …]")
              ->type_name("NAME")};
}

void check_chat_template(const InputOptions& options, const Tokenizer& tokenizer) {
  if (options.chat_template.empty()) return;
  const ChatFormat format = read_chat_format(options.chat_template);
  check_chat_format(format, tokenizer, "--chat-template " + options.chat_template);
}

DocumentReader open_documents(const InputOptions& options) {
  std::vector<std::string> files = options.files;
  if (files.empty()) files.push_back("-");
  if (std::count(files.begin(), files.end(), "-") > 1) {
    fail(ErrorKind::usage, "standard input '-' is named more than once");
  }
  check_mask_options(options);
  ReaderOptions reader;
  reader.rows = row_kind(options);
  if (!options.chat_template.empty()) reader.chat = read_chat_format(options.chat_template);
  reader.mask_field = options.mask_field;
  for (const FormatName& known : kFormatNames) {
    if (options.format == known.name) reader.format = known.format;
  }
  reader.separator = unescape(options.separator, "--separator");
  reader.field = options.field;
  reader.strict = options.strict;
  reader.skip_damaged = options.skip_damaged;
  for (const std::string& text : options.min_scores) {
    reader.min_scores.push_back(parse_min_score(text));
  }
  reader.sample = options.sample;
  reader.dedup = options.dedup;
  reader.limit = options.limit;
  reader.text_piece_bytes = options.text_piece_bytes;
  reader.stop = options.stop;
  return DocumentReader(std::move(files), std::move(reader));
}

void report_left_out(const ReaderCounts& counts) {
  if (counts.bad_rows > 0) {
    log_warning(count(counts.bad_rows, "malformed row") +
                " skipped; --strict stops at the first one");
  }
  if (counts.lone_surrogates > 0) {
    log_warning(
        count(counts.lone_surrogates, "document") +
        " held lone surrogates (\\ud800 to \\udfff without a partner), which became U+FFFD");
  }
  if (!counts.damaged.empty()) {
    log_warning(count(counts.damaged.size(), "damaged input") +
                " left out, wholly or from the damage on");
  }
  if (counts.unseparated > 0) {
    log_warning("the separator does not occur in " + counts.first_unseparated +
                (counts.unseparated == 1 ? ": it is one document"
                                         : strprintf(" and %s: each is one document",
                                                     count(counts.unseparated - 1, "other file"))));
  }
  std::vector<std::string> parts;
  if (counts.low_scores > 0) parts.push_back(count(counts.low_scores, "row") + " by --min-score");
  if (counts.unsampled > 0) parts.push_back(count(counts.unsampled, "document") + " by --sample");
  if (counts.duplicates > 0) parts.push_back(count(counts.duplicates, "document") + " by --dedup");
  if (!parts.empty()) log_info("left out: " + join(parts, ", "));
}

nlohmann::ordered_json left_out_json(const ReaderCounts& counts) {
  nlohmann::ordered_json damaged = nlohmann::ordered_json::array();
  for (const DamagedInput& input : counts.damaged) {
    damaged.push_back({{"name", escaped(input.name, input.name.size())},
                       {"what", escaped(input.what, input.what.size())}});
  }
  return {{"bad_rows", counts.bad_rows},     {"lone_surrogates", counts.lone_surrogates},
          {"low_scores", counts.low_scores}, {"unsampled", counts.unsampled},
          {"duplicates", counts.duplicates}, {"damaged_inputs", std::move(damaged)}};
}

}  // namespace mythos
