#include "data/input_options.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"

namespace mythos {

void add_input_options(CLI::App& app, InputOptions& options) {
  app.add_option("FILE", options.files,
                 "Text or JSON lines, each also as .zst; '-' or nothing is standard input");
  app.add_option("--format", options.format,
                 "auto: .jsonl and .ndjson files are JSON lines, all else is text (default auto)")
      ->check(CLI::IsMember({"auto", "text", "jsonl"}))
      ->group("Input");
  app.add_option("--separator", options.separator,
                 "What stands between the documents of a text file, such as '\\n%\\n'; "
                 "without it a file is one document")
      ->type_name("S")
      ->group("Input");
  app.add_option("--field", options.field,
                 "Field of a JSON line that holds the text (default text)")
      ->type_name("NAME")
      ->group("Input");
  app.add_flag("--strict", options.strict, "Stop at a malformed row instead of skipping it")
      ->group("Input");
}

DocumentReader open_documents(const InputOptions& options) {
  std::vector<std::string> files = options.files;
  if (files.empty()) files.push_back("-");
  if (std::count(files.begin(), files.end(), "-") > 1) {
    fail(ErrorKind::usage, "standard input '-' is named more than once");
  }
  ReaderOptions reader;
  reader.format = options.format == "text"    ? InputFormat::text
                  : options.format == "jsonl" ? InputFormat::jsonl
                                              : InputFormat::automatic;
  reader.separator = unescape(options.separator, "--separator");
  reader.field = options.field;
  reader.strict = options.strict;
  return DocumentReader(std::move(files), std::move(reader));
}

void report_bad_rows(const DocumentReader& reader) {
  if (reader.counts().bad_rows == 0) return;
  log_warning(strprintf("%s malformed rows were skipped; --strict stops at the first",
                        with_commas(static_cast<int64_t>(reader.counts().bad_rows)).c_str()));
}

}  // namespace mythos
