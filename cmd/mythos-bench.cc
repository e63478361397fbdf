#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/files.h"
#include "base/print.h"
#include "bench_options.h"
#include "data/build/bench_tokenize.h"
#include "data/sample/bench_data.h"

using namespace mythos;

namespace {

struct Options {
  BenchOptions common;
  ModelSubjectOptions model;
  TokenizeBench tokenize;
  DataBench data;
  std::string split = "train";
  std::vector<std::string> shards;
};

void declare_tokenize(CLI::App& app, Options& options) {
  CLI::App* command =
      declare_subject(app, options.common, "tokenize", "Encode and decode text that is in memory");
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
  CLI::App* command =
      declare_subject(app, options.common, "data", "Draw training batches from shards");
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

// The other subjects start without LibTorch, so those that need it are a program of their own.
[[noreturn]] void become_model_bench(char** argv) {
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "mythos_bench_model";
  execv(program.c_str(), argv);
  if (errno == ENOENT) {
    fail(ErrorKind::usage, "this build has no LibTorch half, so no models to measure.",
         "Build it with -DMYTHOS_TORCH=ON");
  }
  fail(ErrorKind::resources, "cannot execute " + program.string() + ": " + std::strerror(errno));
}

int run(Options& options, const std::string& subject, char** argv) {
  if (is_model_subject(subject)) become_model_bench(argv);
  BenchResult result;
  if (subject == "tokenize") {
    options.tokenize.repeat = options.common.repeat;
    options.tokenize.warmup = options.common.warmup;
    result = bench_tokenize(options.tokenize);
  } else {
    options.data.repeat = options.common.repeat;
    options.data.warmup = options.common.warmup;
    options.data.data = parse_data_list(options.shards);
    options.data.split =
        options.split == "train" ? ShardDirectory::Split::train : ShardDirectory::Split::val;
    result = bench_data(options.data);
  }
  print_lines(format_bench(result, options.common.format()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App* root = nullptr;
  return run_command(argc, argv,
                     {"mythos-bench", "Measure speed on this machine.", kBenchExamples,
                      [&](CLI::App& app) {
                        root = &app;
                        app.require_subcommand(1);
                        declare_model_subjects(app, options.common, options.model);
                        declare_tokenize(app, options);
                        declare_data(app, options);
                      },
                      [&] { return run(options, root->get_subcommands()[0]->get_name(), argv); }});
}
