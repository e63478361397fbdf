#pragma once
#include <string>
#include <vector>

#include "base/cli.h"
#include "data/readers.h"

namespace mythos {

// The options by which every program that reads documents names its input.
struct InputOptions {
  std::vector<std::string> files;  // empty: standard input
  std::string format = "auto", separator, field = "text";
  bool strict = false;
};

// Adds FILE…, --format, --separator, --field and --strict.
void add_input_options(CLI::App& app, InputOptions& options);

// Opens the input that the options name. Fails (usage) on a malformed --separator or "-" given
// twice.
DocumentReader open_documents(const InputOptions& options);

// Warns of the number of malformed rows that were skipped.
void report_bad_rows(const DocumentReader& reader);

}  // namespace mythos
