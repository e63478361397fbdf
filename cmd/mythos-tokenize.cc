#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/cli.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/print.h"
#include "base/signals.h"
#include "base/strings.h"
#include "data/build/build_report.h"
#include "data/read/id_lines.h"
#include "data/read/input_options.h"
#include "text/tokenizer_options.h"

using namespace mythos;

namespace {

struct Options {
  InputOptions input;
  BuildOptions build;
  TokenizerChoice tokenizer;
  std::string output;
  bool ids = false, decode = false, parse_special = false, no_eos = false, json = false;

  Options() { build.jobs = std::max<int64_t>(1, std::thread::hardware_concurrency()); }
};

int write_shards(Options& options, const Tokenizer& tokenizer) {
  options.build.writer.eos = !options.no_eos;
  options.build.writer.masked = options.input.rows != "text" || !options.input.mask_field.empty();
  options.build.parse_special = options.parse_special;
  check_chat_template(options.input, tokenizer);
  StopSignals signals;
  signals.watch();
  options.input.stop = options.build.stop = signals.token();
  try {
    DocumentReader reader = open_documents(options.input);
    const auto start = Clock::now();
    const BuildSummary summary = build_shards(reader, tokenizer, options.output, options.build);
    const BuildReport report{options.output, options.build, summary, reader.counts(),
                             seconds_since(start)};
    log_build(report);
    if (options.json) print_json(to_json(report));
    return 0;
  } catch (const Stopped&) {
    exit_by_signal(signals.signal());
  }
}

int run(Options& options) {
  if (options.output.empty() && !options.ids && !options.decode) {
    fail(ErrorKind::usage, "nothing to do: name --output DIR for shards, or use --ids or --decode");
  }
  const auto tokenizer = load_tokenizer(options.tokenizer);
  if (!options.output.empty()) return write_shards(options, *tokenizer);
  if (options.decode) {
    InputOptions lines = options.input;
    lines.format = "text";
    lines.separator = "\\n";
    DocumentReader reader = open_documents(lines);
    decode_id_lines(reader, lines.files.empty() ? "standard input" : join(lines.files, ", "),
                    *tokenizer, stdout);
    return 0;
  }
  DocumentReader reader = open_documents(options.input);
  write_id_lines(reader, *tokenizer, options.parse_special ? Specials::parse : Specials::as_text,
                 stdout);
  report_left_out(reader.counts());
  return 0;
}

void declare(CLI::App& app, Options& options) {
  add_tokenizer_options(app, options.tokenizer)->required();
  CLI::Option* output =
      app.add_option("--output", options.output, "Directory of shards to make")->type_name("DIR");
  app.add_flag("--ids", options.ids, "Print ids instead, one document a line, without BOS and EOS")
      ->excludes(output);
  CLI::Option* decode = app.add_flag("--decode", options.decode,
                                     "Turn such lines of ids back into the text, byte for byte");
  decode->excludes(output);
  app.add_flag("--parse-special", options.parse_special,
               "Read the names of special tokens in the text as those tokens")
      ->excludes(decode);
  const auto shards = [&](CLI::Option* option) { return option->needs(output)->group("Shards"); };
  shards(app.add_option("--val-fraction", options.build.val_fraction,
                        "Share of the documents for validation, chosen by hash (default 0.05)"))
      ->check(CLI::Range(0.0, 0.999))
      ->type_name("F");
  shards(app.add_flag("--bos", options.build.writer.bos, "Begin each document with BOS"));
  shards(app.add_flag("--no-eos", options.no_eos, "Do not end each document with EOS"));
  for (CLI::Option* option : add_mask_options(app, options.input)) shards(option);
  shards(app.add_option("--jobs", options.build.jobs,
                        "Threads that encode (default: one for each processor); the result is the "
                        "same for any number"))
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  shards(app.add_flag("--append", options.build.append,
                      "Add the documents to an existing directory of shards"));
  shards(app.add_flag("--force", options.build.replace,
                      "Replace an existing directory of shards; discard unfinished work of another "
                      "run"));
  shards(app.add_flag("--json", options.json, "Print one JSON object (mythos.tokenize/1)"));
  // For tests: how often the state is saved.
  shards(app.add_option("--save-seconds", options.build.save_seconds))->group("");
  add_input_options(app, options.input);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-tokenize", "Turn text into token shards for training, or into ids and back.",
       R"(mythos tokenize --tokenizer tok.model --output shards book.txt
                         mythos tokenize --tokenizer tok.model --output shards --separator '\n%\n' fortunes
                         mythos tokenize --tokenizer tok.model --output shards --min-score 'int_score>=3' --dedup fineweb-edu/
                         mythos tokenize --tokenizer tok.model --output shards --rows completion tasks.jsonl
                         curl -s https://example.org/dump.jsonl.zst | mythos tokenize --tokenizer tok.model --output shards --format jsonl -
                         echo hello | mythos tokenize --tokenizer tok.model --ids | mythos tokenize --tokenizer tok.model --decode)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); }});
}
