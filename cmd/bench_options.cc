#include "bench_options.h"

#include <CLI/CLI.hpp>

namespace mythos {
namespace {

CLI::App* declare_model(CLI::App& app, BenchOptions& common, ModelSubjectOptions& o,
                        const char* name, const char* summary) {
  CLI::App* command = declare_subject(app, common, name, summary);
  CLI::Option* preset =
      command->add_option("--preset", o.preset, "Model by name, with fresh weights")
          ->type_name("NAME");
  CLI::Option* config =
      command->add_option("--config", o.config_file, "Model by TOML file, with fresh weights")
          ->type_name("FILE")
          ->excludes(preset);
  command
      ->add_option("--checkpoint", o.checkpoint,
                   "Run folder, step folder, or a published model's folder")
      ->type_name("RUN")
      ->excludes(preset)
      ->excludes(config);
  command
      ->add_option("--set", o.assignments, "Change any key of the configuration; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--loops", o.loops,
                   "Loops of the core: N,N,... are measured one after the other; default: "
                   "model.max_loop_iters")
      ->type_name("LIST");
  o.compute.declare(*command);
  command->add_option("--seed", o.seed, "Seed of fresh weights and of token ids (default 1)")
      ->type_name("N");
  command->add_flag("--profile", o.profile, "Measure operators, by their own time, instead");
  return command;
}

void declare_number(CLI::App& command, const char* name, int64_t& value, const char* help) {
  command.add_option(name, value, help)
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("N");
}

}  // namespace

CLI::App* declare_subject(CLI::App& app, BenchOptions& options, const char* name,
                          const char* summary) {
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

void declare_model_subjects(CLI::App& app, BenchOptions& common, ModelSubjectOptions& options) {
  CLI::App* train = declare_model(app, common, options, "train", "Take steps of training");
  options.keys.declare(*train, "train.compute_type", "--dtype");
  options.keys.declare(*train, "train.batch_size");
  options.keys.declare(*train, "train.seq_len");
  CLI::App* prefill =
      declare_model(app, common, options, "prefill", "Read a prompt, up to its last logits");
  declare_number(*prefill, "--seq-len", options.seq_len, "Tokens of the prompt (default 512)");
  CLI::App* decode =
      declare_model(app, common, options, "decode", "Generate token by token behind a context");
  declare_number(*decode, "--context", options.context, "Tokens in the cache (default 128)");
  declare_number(*decode, "--tokens", options.tokens,
                 "Tokens generated for one sample, then forgotten (default 16)");
  declare_number(*decode, "--batch-size", options.batch_size,
                 "Sequences that take each step together (default 1)");
  for (CLI::App* command : {prefill, decode}) {
    for (const char* key :
         {"dtype", "weights", "cache_type", "cache_sharing", "cache_modulo", "cache_basis"}) {
      options.keys.declare(*command, std::string("decode.") + key);
    }
  }
}

bool is_model_subject(std::string_view name) {
  return name == "train" || name == "prefill" || name == "decode";
}

}  // namespace mythos
