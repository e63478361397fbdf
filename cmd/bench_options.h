#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/timing.h"
#include "config/compute_flags.h"
#include "config/key_options.h"

// Options of "mythos bench" that two programs parse: mythos-bench, which must start without
// LibTorch, and mythos_bench_model, which it becomes for the subjects that need a model.
namespace mythos {

struct BenchOptions {
  int repeat = 5, warmup = 1;
  std::string output_format = "table";
  bool json = false;

  BenchFormat format() const { return parse_bench_format(json ? "json" : output_format); }
};

// A subcommand with the options that all have.
CLI::App* declare_subject(CLI::App& app, BenchOptions& options, const char* name,
                          const char* summary);

struct ModelSubjectOptions {
  std::string preset, config_file, checkpoint;
  std::vector<std::string> assignments;  // of --set
  KeyOptions keys;                       // laid over them
  std::string loops;
  int64_t seq_len = 512, context = 128, tokens = 16, batch_size = 1;
  uint64_t seed = 1;
  bool profile = false;
  ComputeFlags compute;
};

// train, prefill and decode.
void declare_model_subjects(CLI::App& app, BenchOptions& common, ModelSubjectOptions& options);
bool is_model_subject(std::string_view name);

// Shown first by --help.
inline constexpr const char* kBenchExamples =
    R"(mythos bench train --preset nano --batch-size 8 --seq-len 256 --dtype bf16
       mythos bench decode --preset nano --context 900 --loops 1,2,4,8,16 --output-format markdown
       mythos bench decode --preset small --batch-size 8 --dtype bf16 --weights int8 --cache-type int8
       mythos bench prefill --checkpoint runs/nano --seq-len 512 --profile
       mythos bench tokenize --tokenizer tok.model book.txt
       mythos bench tokenize --tokenizer o200k_base.tiktoken --separator '\n\n' --json book.txt
       mythos bench tokenize --tokenizer tok.model --threads 4 --max-bytes 1GB part-*.parquet
       mythos bench data --seq-len 2048 --batch-size 8 shards)";

}  // namespace mythos
