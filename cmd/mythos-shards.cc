#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/strings.h"
#include "data/id_lines.h"
#include "data/manifest.h"
#include "data/readers.h"
#include "data/shards.h"
#include "text/tokenizer.h"

using namespace mythos;

namespace {

using Split = ShardDirectory::Split;

struct Options {
  std::string directory, split = "train", separator;
  uint64_t from = 0, count = ~uint64_t{0};
  bool ids = false, json = false;
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
    std::puts(out.dump(2).c_str());
    return 0;
  }
  std::printf("directory   %s\n", options.directory.c_str());
  std::printf("tokenizer   %s, fingerprint %s, vocabulary %s\n", manifest.tokenizer_file.c_str(),
              manifest.tokenizer_fingerprint.c_str(), with_commas(manifest.vocab_size).c_str());
  std::printf("tokens      %s, documents %s BOS and %s EOS\n\n", manifest.dtype.c_str(),
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
    std::puts(out.dump(2).c_str());
  } else {
    for (const std::string& fault : faults) std::puts(fault.c_str());
    if (faults.empty()) std::puts("ok");
  }
  return faults.empty() ? 0 : static_cast<int>(ErrorKind::check_failed);
}

// Prints tokens as text or ids, block by block, and tells where documents end.
class Printer {
 public:
  Printer(const Options& options, const Tokenizer& tokenizer)
      : ids_(options.ids),
        separator_(unescape(options.separator, "--separator")),
        tokenizer_(tokenizer) {}
  void print(std::span<const uint32_t> tokens) {
    out_.clear();
    for (const uint32_t id : tokens) {
      if (!ids_) {
        out_ += tokenizer_.token_bytes(id);
        continue;
      }
      if (line_open_) out_ += ' ';
      out_ += std::to_string(id);
      line_open_ = true;
    }
    write_out(out_, stdout);
  }
  void end_document(bool last) {
    if (ids_) write_out("\n", stdout);
    if (!ids_ && !last) write_out(separator_, stdout);
    line_open_ = false;
  }

 private:
  bool ids_, line_open_ = false;
  std::string separator_, out_;
  const Tokenizer& tokenizer_;
};

int cat(const Options& options) {
  constexpr uint64_t kBlockTokens = 1 << 16;
  const ShardDirectory shards(options.directory);
  const auto tokenizer =
      load_tokenizer(fs::path(options.directory) / shards.manifest().tokenizer_file);
  const Split split = options.split == "train" ? Split::train : Split::val;
  const uint64_t total = shards.tokens(split);
  if (options.from > total) {
    fail(ErrorKind::usage,
         strprintf("--from %llu: the %s split has %llu tokens",
                   static_cast<unsigned long long>(options.from), options.split.c_str(),
                   static_cast<unsigned long long>(total)));
  }
  const uint64_t end = options.from + std::min(options.count, total - options.from);
  Printer printer(options, *tokenizer);
  std::vector<uint32_t> tokens;
  uint64_t document = shards.document_of(split, options.from);
  for (uint64_t at = options.from; at < end;) {
    const uint64_t document_end = shards.document_begin(split, document + 1);
    tokens.resize(std::min({end - at, document_end - at, kBlockTokens}));
    shards.read(split, at, tokens);
    printer.print(tokens);
    at += tokens.size();
    if (at == document_end || at == end) printer.end_document(at == end);
    if (at == document_end) ++document;
  }
  return 0;
}

void declare(CLI::App& app, Options& options) {
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* summary) {
    CLI::App* command = app.add_subcommand(name, summary);
    command->add_option("DIR", options.directory, "Directory of shards")->required();
    return command;
  };
  const char* json = "Print one JSON object";
  add("info", "What the directory holds")->add_flag("--json", options.json, json);
  add("verify",
      "Read everything and compare every checksum; exit status 1 and a line for each fault")
      ->add_flag("--json", options.json, json);
  CLI::App* cat = add("cat", "Print tokens as text, or as ids with one document a line");
  cat->add_option("--split", options.split, "train or val (default train)")
      ->check(CLI::IsMember({"train", "val"}));
  cat->add_option("--from", options.from, "First token, from 0")->type_name("N");
  cat->add_option("--count", options.count, "Number of tokens (default all)")->type_name("N");
  CLI::Option* separator = cat->add_option("--separator", options.separator,
                                           "Print this between documents, such as '\\n'")
                               ->type_name("S");
  cat->add_flag("--ids", options.ids, "Print ids, BOS and EOS included")->excludes(separator);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App* root = nullptr;
  return run_command(argc, argv,
                     {"mythos-shards", "Look into a directory of token shards.",
                      R"(mythos shards info shards
                         mythos shards verify shards && echo intact
                         mythos shards cat shards --split val --count 100
                         mythos shards cat shards --ids | head -1)",
                      [&](CLI::App& app) {
                        root = &app;
                        declare(app, options);
                      },
                      [&] {
                        if (root->got_subcommand("info")) return info(options);
                        return root->got_subcommand("verify") ? verify(options) : cat(options);
                      }});
}
