#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/cli.h"
#include "data/read/readers.h"

namespace mythos {

class Tokenizer;

// The options by which every program that reads documents names its input.
struct InputOptions {
  std::vector<std::string> files;  // empty: standard input
  std::string format = "auto", separator, field = "text";
  bool strict = false, skip_damaged = false;
  std::vector<std::string> min_scores;  // "FIELD>=X"
  double sample = 1;
  bool dedup = false;
  std::optional<uint64_t> limit;
  size_t text_piece_bytes =
      0;  // this and `stop`: see ReaderOptions; no options of the command line
  // For programs that say which targets count: text, completion or messages; a template; a field.
  std::string rows = "text", chat_template, mask_field;
  StopToken stop;
};

// Adds FILE…, --format, --separator, --field, --strict, --skip-damaged, --min-score, --sample,
// --dedup and --limit.
void add_input_options(CLI::App& app, InputOptions& options);

// Adds --rows, --chat-template and --mask-field. Returns them for the caller to say what they need.
std::vector<CLI::Option*> add_mask_options(CLI::App& app, InputOptions& options);

// Fails (usage), naming the first, unless the tokenizer has the special tokens of --chat-template.
void check_chat_template(const InputOptions& options, const Tokenizer& tokenizer);

// Opens the input that the options name. Fails (usage) on a malformed --separator, --field or
// --min-score, on --min-score where an input is text, on options of masks that contradict each
// other or where an input is not JSON, and on "-" given twice.
DocumentReader open_documents(const InputOptions& options);

// Warnings of malformed rows that were skipped and of lone surrogates that were replaced, and a
// line on what the options left out.
void report_left_out(const ReaderCounts& counts);
// The counts of report_left_out() as members of a program's JSON: bad_rows, lone_surrogates,
// low_scores, unsampled, duplicates and damaged_inputs.
nlohmann::ordered_json left_out_json(const ReaderCounts& counts);

}  // namespace mythos
