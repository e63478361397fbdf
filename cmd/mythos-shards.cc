#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "base/signals.h"
#include "base/strings.h"
#include "data/exchange/interchange.h"
#include "data/read/readers.h"
#include "data/shards/manifest.h"
#include "data/shards/print_tokens.h"
#include "data/shards/reshard.h"
#include "data/shards/stored_documents.h"
#include "text/tokenizer_options.h"

using namespace mythos;

namespace {

using Split = ShardDirectory::Split;

struct Options {
  TokenizerChoice tokenizer;
  std::string directory, split = "train", separator, output, format, boundary = "begin";
  std::vector<std::string> inputs, val_files;
  uint64_t from = 0, count = ~uint64_t{0}, documents = 10;
  uint32_t parts = 0;
  std::optional<double> val_fraction;
  ExportOptions exported;
  bool ids = false, json = false, force = false, bos = false, no_eos = false;
};

uint64_t stored_bytes(const SplitInfo& split) {
  uint64_t bytes = 0;
  for (const ShardFileInfo& file : split.files) bytes += file.size_bytes;
  return bytes;
}

void print_split(const char* name, const SplitInfo& split) {
  const auto commas = [](uint64_t n) { return with_commas(static_cast<int64_t>(n)); };
  std::printf("%-6s %14s %16s %16s %12.2f %6zu %12s\n", name, commas(split.documents).c_str(),
              commas(split.tokens).c_str(), commas(split.text_bytes).c_str(),
              static_cast<double>(split.text_bytes) /
                  static_cast<double>(std::max<uint64_t>(split.tokens, 1)),
              split.files.size(), human_bytes(static_cast<double>(stored_bytes(split))).c_str());
}

int info(const Options& options) {
  const ShardDirectory shards(options.directory);
  const ShardManifest& manifest = shards.manifest();
  if (options.json) {
    nlohmann::ordered_json out = {{"schema", "mythos.shards-info/1"},
                                  {"directory", options.directory}};
    out.update(manifest_json(manifest));
    print_json(out);
    return 0;
  }
  std::printf("directory   %s\n", shown(options.directory).c_str());
  std::printf("tokenizer   %s, fingerprint %s, vocabulary %s\n",
              shown(manifest.tokenizer_file).c_str(), shown(manifest.tokenizer_fingerprint).c_str(),
              with_commas(manifest.vocab_size).c_str());
  std::printf("tokens      %s, documents %s BOS and %s EOS\n\n", shown(manifest.dtype).c_str(),
              manifest.bos ? "with" : "without", manifest.eos ? "with" : "without");
  std::printf("%-6s %14s %16s %16s %12s %6s %12s\n", "split", "documents", "tokens", "text bytes",
              "bytes/token", "files", "stored");
  print_split("train", manifest.train);
  print_split("val", manifest.val);
  return 0;
}

int verify(const Options& options) {
  const std::vector<std::string> faults = verify_shards(options.directory);
  if (options.json) {
    const nlohmann::ordered_json out = {{"schema", "mythos.shards-verify/1"},
                                        {"directory", options.directory},
                                        {"ok", faults.empty()},
                                        {"faults", faults}};
    print_json(out);
  } else {
    for (const std::string& fault : faults) print_lines(fault + "\n");
    if (faults.empty()) std::puts("ok");
  }
  return faults.empty() ? 0 : static_cast<int>(ErrorKind::check_failed);
}

Split split_of(const Options& options) {
  return options.split == "train" ? Split::train : Split::val;
}

int cat(const Options& options) {
  const ShardDirectory shards(options.directory);
  const uint64_t total = shards.tokens(split_of(options));
  if (options.from > total) {
    fail(ErrorKind::usage,
         strprintf("--from %llu: the %s split has %llu tokens",
                   static_cast<unsigned long long>(options.from), options.split.c_str(),
                   static_cast<unsigned long long>(total)));
  }
  const uint64_t end = options.from + std::min(options.count, total - options.from);
  print_tokens(shards, *load_tokenizer_of(shards), split_of(options), options.from, end,
               {options.ids, unescape(options.separator, "--separator")}, stdout);
  return 0;
}

int head(const Options& options) {
  const ShardDirectory shards(options.directory);
  print_documents(shards, *load_tokenizer_of(shards), split_of(options), options.documents,
                  options.ids, stdout);
  return 0;
}

void report(const fs::path& directory, const ShardManifest& manifest) {
  const auto describe = [](const char* name, const SplitInfo& split) {
    return strprintf("%s %s tokens in %s documents", name,
                     with_commas(static_cast<int64_t>(split.tokens)).c_str(),
                     with_commas(static_cast<int64_t>(split.documents)).c_str());
  };
  log_info(strprintf("%s: %s, %s; documents %s BOS and %s EOS", directory.c_str(),
                     describe("train", manifest.train).c_str(),
                     describe("val", manifest.val).c_str(), manifest.bos ? "with" : "without",
                     manifest.eos ? "with" : "without"));
}

int merge(const Options& options) {
  std::vector<ShardDirectory> inputs;
  for (const std::string& input : options.inputs) inputs.emplace_back(input);
  report(options.output,
         merge_shards(inputs, *load_tokenizer_of(inputs.front()), options.output, options.force));
  return 0;
}

int split(const Options& options) {
  if ((options.parts > 0) == options.val_fraction.has_value()) {
    fail(ErrorKind::usage, "how to split? Give either --parts N or --val-fraction F.");
  }
  const ShardDirectory shards(options.directory);
  const auto tokenizer = load_tokenizer_of(shards);
  if (options.val_fraction) {
    report(options.output,
           split_again(shards, *tokenizer, options.output, *options.val_fraction, options.force));
    return 0;
  }
  const auto parts =
      split_into_parts(shards, *tokenizer, options.output, options.parts, options.force);
  for (size_t part = 0; part < parts.size(); ++part)
    report(part_name(options.output, part), parts[part]);
  return 0;
}

TokenFormat format_of(const Options& options) {
  return options.format == "llmc" ? TokenFormat::llmc : TokenFormat::megatron;
}

void refuse_for_megatron(const CLI::App& command, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (command.count(name) > 0) {
      fail(ErrorKind::usage, std::string(name) +
                                 " is for --format llmc: Megatron has an index, and "
                                 "its documents are kept as they are");
    }
  }
}

int export_files(const Options& options, const CLI::App& command) {
  ExportOptions exported = options.exported;
  exported.format = format_of(options);
  exported.boundary.at_end = options.boundary == "end";
  if (exported.format == TokenFormat::megatron) {
    refuse_for_megatron(command, {"--boundary", "--boundary-token", "--tokens-per-file"});
  }
  const ShardDirectory shards(options.directory);
  const ExportSummary summary =
      export_shards(shards, *load_tokenizer_of(shards), options.output, exported);
  if (summary.ambiguous_documents > 0) {
    log_warning(
        strprintf("%s documents have the boundary token inside: whoever reads the files "
                  "takes each for several",
                  with_commas(static_cast<int64_t>(summary.ambiguous_documents)).c_str()));
  }
  log_info(strprintf("%s: %s tokens in %s", options.output.c_str(),
                     with_commas(static_cast<int64_t>(summary.tokens)).c_str(),
                     join(summary.files, ", ").c_str()));
  return 0;
}

int import_files(const Options& options, const CLI::App& command) {
  if (options.inputs.empty() && options.val_files.empty()) {
    fail(ErrorKind::usage, "nothing to import: name a FILE, or one for validation with --val");
  }
  ImportOptions imported;
  imported.format = format_of(options);
  imported.train.assign(options.inputs.begin(), options.inputs.end());
  imported.val.assign(options.val_files.begin(), options.val_files.end());
  imported.boundary = {options.exported.boundary.token, options.boundary == "end"};
  imported.bos = options.bos;
  imported.eos = !options.no_eos;
  imported.replace = options.force;
  if (imported.format == TokenFormat::megatron) {
    refuse_for_megatron(command, {"--boundary", "--boundary-token", "--bos", "--no-eos"});
  }
  report(options.directory,
         import_shards(options.directory, *load_tokenizer(options.tokenizer), imported));
  return 0;
}

CLI::App* add_command(CLI::App& app, Options& options, const char* name, const char* summary) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->add_option("DIR", options.directory, "Directory of shards")->required();
  return command;
}

void add_split(CLI::App& command, Options& options) {
  command.add_option("--split", options.split, "train or val (default train)")
      ->check(CLI::IsMember({"train", "val"}));
}

void add_force(CLI::App& command, Options& options) {
  command.add_flag("--force", options.force, "Replace existing shards");
}

void declare_printing(CLI::App& app, Options& options) {
  const char* json = "Print one JSON object";
  add_command(app, options, "info", "What the directory holds")
      ->add_flag("--json", options.json, json);
  add_command(app, options, "verify",
              "Read everything and compare every checksum; exit status 1 and a line for each fault")
      ->add_flag("--json", options.json, json);
  CLI::App* cat =
      add_command(app, options, "cat", "Print tokens as text, or as ids with one document a line");
  add_split(*cat, options);
  cat->add_option("--from", options.from, "First token, from 0")->type_name("N");
  cat->add_option("--count", options.count, "Number of tokens (default all)")->type_name("N");
  CLI::Option* separator = cat->add_option("--separator", options.separator,
                                           "Print this between documents, such as '\\n'")
                               ->type_name("S");
  cat->add_flag("--ids", options.ids, "Print ids, BOS and EOS included")->excludes(separator);
  CLI::App* head = add_command(app, options, "head",
                               "Print the first documents, each behind a line that tells its size");
  add_split(*head, options);
  head->add_option("-n,--documents", options.documents, "Number of documents (default 10)")
      ->type_name("N");
  head->add_flag("--ids", options.ids, "Print ids, BOS and EOS included, one document a line");
}

void declare_resharding(CLI::App& app, Options& options) {
  CLI::App* merge = app.add_subcommand("merge", "Join directories into one, split by split");
  merge->add_option("OUT", options.output, "Directory to make")->required();
  merge->add_option("DIR", options.inputs, "Directories of shards of one tokenizer, in order")
      ->required();
  add_force(*merge, options);
  CLI::App* split = add_command(app, options, "split",
                                "Cut into parts, or part into training and validation anew");
  split->add_option("OUT", options.output, "Directory to make; with --parts, OUT-00000 and so on")
      ->required();
  CLI::Option* parts =
      split
          ->add_option("--parts", options.parts,
                       "Number of parts with nearly equal numbers of tokens, documents whole")
          ->check(CLI::Range(2, 256))
          ->type_name("N");
  split
      ->add_option("--val-fraction", options.val_fraction,
                   "Share of the documents for validation, chosen by hash as tokenize does")
      ->check(CLI::Range(0.0, 0.999))
      ->excludes(parts)
      ->type_name("F");
  add_force(*split, options);
}

void add_format(CLI::App& command, Options& options) {
  command.add_option("--format", options.format, "llmc (.bin) or megatron (.bin and .idx)")
      ->required()
      ->check(CLI::IsMember({"llmc", "megatron"}));
  command
      .add_option("--boundary", options.boundary,
                  "Where llm.c's documents have the boundary token: begin or end (default begin)")
      ->check(CLI::IsMember({"begin", "end"}));
  command
      .add_option("--boundary-token", options.exported.boundary.token,
                  "Id of that token (default the tokenizer's EOS)")
      ->type_name("ID");
}

void declare_interchange(CLI::App& app, Options& options) {
  CLI::App* import = app.add_subcommand("import", "Make shards of another program's token files");
  import->add_option("DIR", options.directory, "Directory of shards to make")->required();
  import->add_option("FILE", options.inputs, "Token files for training, in order");
  import->add_option("--val", options.val_files, "Token files for validation")->type_name("FILE");
  add_tokenizer_options(*import, options.tokenizer)->required();
  add_format(*import, options);
  import->add_flag("--bos", options.bos, "Begin each document with BOS");
  import->add_flag("--no-eos", options.no_eos, "Do not end each document with EOS");
  add_force(*import, options);
  CLI::App* to = add_command(app, options, "export", "Write token files for another program");
  to->add_option("OUT", options.output, "Directory to make")->required();
  add_format(*to, options);
  to->add_option("--dtype", options.exported.dtype,
                 "u16 or u32 for llm.c, u16 or i32 for Megatron (default by the vocabulary)")
      ->check(CLI::IsMember({"u16", "u32", "i32"}));
  to->add_option("--tokens-per-file", options.exported.tokens_per_file,
                 "A file of llm.c ends with the document that reaches it (default 100000000)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{INT32_MAX}))
      ->type_name("N");
}

int run(const Options& options, const CLI::App& app) {
  const CLI::App& command = *app.get_subcommands().front();
  const std::string& name = command.get_name();
  if (name == "info") return info(options);
  if (name == "verify") return verify(options);
  if (name == "cat") return cat(options);
  if (name == "head") return head(options);
  watch_signals();
  try {
    if (name == "merge") return merge(options);
    if (name == "split") return split(options);
    return name == "import" ? import_files(options, command) : export_files(options, command);
  } catch (const Stopped&) {
    log_warning("stopped; nothing was written");
    exit_by_signal(stop_signal());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App* root = nullptr;
  return run_command(
      argc, argv,
      {"mythos-shards", "Look into directories of token shards, and make new ones of them.",
       R"(mythos shards info shards
          mythos shards verify shards && echo intact
          mythos shards head shards -n 3
          mythos shards cat shards --ids | head -1
          mythos shards merge all part-00000 part-00001
          mythos shards split shards part --parts 4
          mythos shards export shards out --format llmc
          mythos shards import shards --format megatron --tokenizer tok.model text_document)",
       [&](CLI::App& app) {
         root = &app;
         app.require_subcommand(1);
         app.fallthrough();  // --quiet behind the subcommand too
         declare_printing(app, options);
         declare_resharding(app, options);
         declare_interchange(app, options);
       },
       [&] { return run(options, *root); }});
}
