#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "data/bench_data.h"
#include "data/bench_tokenize.h"

using namespace mythos;

namespace {

struct Options {
  int repeat = 5, warmup = 1;
  std::string output_format = "table", split = "train";
  bool json = false;
  TokenizeBench tokenize;
  DataBench data;
  std::vector<std::string> shards;
};

CLI::App* declare_common(CLI::App& app, Options& options, const char* name, const char* summary) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->add_option("--repeat", options.repeat, "Samples of each time (default 5)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  command->add_option("--warmup", options.warmup, "Repetitions before those (default 1)")
      ->check(CLI::Range(0, 1000))
      ->type_name("N");
  CLI::Option* format =
      command->add_option("--output-format", options.output_format, "How to print (default table)")
          ->check(CLI::IsMember({"table", "json", "jsonl", "markdown", "csv"}));
  command->add_flag("--json", options.json, "The same as --output-format json (mythos.bench/1)")
      ->excludes(format);
  return command;
}

void declare_tokenize(CLI::App& app, Options& options) {
  CLI::App* command =
      declare_common(app, options, "tokenize", "Encode and decode text that is in memory");
  command->add_option("--tokenizer", options.tokenize.tokenizers, "Tokenizer; several take turns")
      ->required()
      ->allow_extra_args(false)
      ->type_name("TOK");
  command
      ->add_option("--threads", options.tokenize.threads,
                   "Threads that share the documents (default 1)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  command
      ->add_option("--max-bytes", options.tokenize.max_bytes,
                   "Text to read at most (default 256MB)")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40))
      ->type_name("N");
  add_input_options(*command, options.tokenize.input);
}

void declare_data(CLI::App& app, Options& options) {
  CLI::App* command = declare_common(app, options, "data", "Draw training batches from shards");
  command->add_option("DIR", options.shards, "Directories of shards; DIR:WEIGHT sets their shares")
      ->required();
  command->add_option("--split", options.split, "train or val (default train)")
      ->check(CLI::IsMember({"train", "val"}));
  const auto number = [&](const char* name, auto& value, const char* text) {
    command->add_option(name, value, text)->check(CLI::Range(1, 1 << 24))->type_name("N");
  };
  number("--seq-len", options.data.seq_len, "Tokens in a sequence (default 1024)");
  number("--batch-size", options.data.batch_size, "Sequences in a batch (default 8)");
  number("--tokens", options.data.tokens, "Tokens drawn for one sample (default 4 million)");
}

int run(Options& options, const std::string& subject) {
  BenchResult result;
  if (subject == "tokenize") {
    options.tokenize.repeat = options.repeat;
    options.tokenize.warmup = options.warmup;
    result = bench_tokenize(options.tokenize);
  } else {
    options.data.repeat = options.repeat;
    options.data.warmup = options.warmup;
    options.data.data = parse_data_list(options.shards);
    options.data.split =
        options.split == "train" ? ShardDirectory::Split::train : ShardDirectory::Split::val;
    result = bench_data(options.data);
  }
  const BenchFormat format = parse_bench_format(options.json ? "json" : options.output_format);
  std::fputs(format_bench(result, format).c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App* root = nullptr;
  return run_command(argc, argv,
                     {"mythos-bench", "Measure speed on this machine.",
                      R"(mythos bench tokenize --tokenizer tok.model book.txt
                         mythos bench tokenize --tokenizer o200k_base.tiktoken --separator '\n\n' --json book.txt
                         mythos bench tokenize --tokenizer tok.model --threads 4 --max-bytes 1GB part-*.parquet
                         mythos bench data --seq-len 2048 --batch-size 8 shards)",
                      [&](CLI::App& app) {
                        root = &app;
                        app.require_subcommand(1);
                        declare_tokenize(app, options);
                        declare_data(app, options);
                      },
                      [&] { return run(options, root->get_subcommands()[0]->get_name()); }});
}
