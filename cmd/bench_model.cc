// The subjects of "mythos bench" that need LibTorch. mythos-bench becomes this program.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "arch/plan.h"
#include "base/cli.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/print.h"
#include "base/strings.h"
#include "bench_options.h"
#include "checkpoint/checkpoint.h"
#include "device/compute_options.h"
#include "device/device.h"
#include "device/tensor_memory.h"
#include "infer/engine/bench_infer.h"
#include "train/bench_train.h"

using namespace mythos;

namespace {

struct Subject {
  std::string label;
  Config config;
  std::unique_ptr<Model> model;
};

void set_values(Config& config, const ModelSubjectOptions& options) {
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  for (const std::string& assignment : options.keys.assignments()) set_value(config, assignment);
  config.validate();
}

Subject load_subject(const ModelSubjectOptions& options, at::Device device, bool trains) {
  LoadedCheckpoint loaded =
      load_checkpoint(options.checkpoint, device, trains ? LoadFor::training : LoadFor::decoding);
  Config config = loaded.config;
  set_values(config, options);
  if (config.model != loaded.config.model) {
    fail(ErrorKind::usage,
         "--set changes [model], which a checkpoint has fixed: " + loaded.path.string() + ".",
         "Only keys of [train] and [decode] can be set for it");
  }
  return {loaded.path.string(), config, std::move(loaded.model)};
}

// Values are drawn at once only to train; else as they are taken.
Subject fresh_subject(const ModelSubjectOptions& options, at::Device device, bool trains) {
  Config config =
      options.preset.empty() ? load_config_file(options.config_file) : load_preset(options.preset);
  set_values(config, options);
  const auto needed_bytes = static_cast<double>(weight_bytes(config.model, /*bf16=*/false));
  if (device.is_cpu() && needed_bytes > available_memory_bytes()) {
    fail(ErrorKind::resources,
         "the weights take " + human_bytes(needed_bytes) + ", and this machine has " +
             human_bytes(available_memory_bytes()) + " left.",
         "Measure a smaller model");
  }
  auto model = std::make_unique<Model>(config.model, device);
  if (trains) model->parameters.initialize(config.model, options.seed);
  return {options.preset.empty() ? options.config_file : options.preset, config, std::move(model)};
}

InferBench read_options(const BenchOptions& common, const ModelSubjectOptions& options) {
  if (options.preset.empty() && options.config_file.empty() && options.checkpoint.empty()) {
    fail(ErrorKind::usage, "give one of --preset NAME, --config FILE and --checkpoint RUN");
  }
  InferBench bench;
  if (!options.loops.empty()) bench.loops = parse_int_list(options.loops, "--loops");
  bench.seed = options.seed;
  bench.repeat = common.repeat;
  bench.warmup = common.warmup;
  bench.profile = options.profile;
  bench.seq_len = options.seq_len;
  bench.context = options.context;
  bench.tokens = options.tokens;
  bench.batch_size = options.batch_size;
  return bench;
}

BenchResult measure(const std::string& name, const BenchOptions& common,
                    const ModelSubjectOptions& options) {
  InferBench bench = read_options(common, options);
  const at::Device device = ComputeOptions{options.compute}.select();
  const bool trains = name == "train", fresh = options.checkpoint.empty();
  bench.counts_tensors = trains && device.is_cpu();
  if (bench.counts_tensors) count_tensor_memory();
  const Subject subject =
      fresh ? fresh_subject(options, device, trains) : load_subject(options, device, trains);
  if (fresh) {
    const ModelConfig& config = subject.config.model;
    bench.prepare = [&config, seed = options.seed](Parameters& parameters, const std::string& key) {
      parameters.initialize(config, seed, key);
    };
  }
  bench.label = subject.label;
  bench.decode = subject.config.decode;
  bench.compute_type = trains ? training_compute_type(subject.config.train.compute_type, device)
                              : resolve_compute_type(bench.decode.compute_type, device);
  if (trains) return bench_train(subject.config, *subject.model, bench);
  return name == "prefill" ? bench_prefill(std::move(*subject.model), bench)
                           : bench_decode(std::move(*subject.model), bench);
}

}  // namespace

int main(int argc, char** argv) {
  BenchOptions common;
  ModelSubjectOptions options;
  CLI::App* root = nullptr;
  return run_command(argc, argv,
                     {"mythos-bench", "Measure speed on this machine.", kBenchExamples,
                      [&](CLI::App& app) {
                        root = &app;
                        app.require_subcommand(1);
                        declare_model_subjects(app, common, options);
                      },
                      [&] {
                        const std::string name = root->get_subcommands()[0]->get_name();
                        const BenchResult result = measure(name, common, options);
                        print_lines(format_bench(result, common.format()));
                        return 0;
                      },
                      "A smaller model, batch or sequence needs less."});
}
