#include <c10/core/InferenceMode.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "arch/plan.h"
#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "device/compute_options.h"
#include "stability/probe.h"
#include "stability/report.h"

using namespace mythos;

namespace {

struct Options {
  std::string run, checkpoint, preset, data;
  std::vector<std::string> assignments;
  int64_t loops = 0, max_tokens = 2048;
  ComputeOptions compute;
  uint64_t seed = 1;
  StabilityThresholds thresholds;
  bool as_json = false;
};

void measure(const Options& options, const Model& model, const std::string& fingerprint,
             at::Device device, StabilityReport& report) {
  const ModelConfig& config = model.config;
  std::vector<Tensor> batches;
  if (options.data.empty()) {
    report.probe = "random ids";
    batches = random_probe(config, options.max_tokens, options.seed, device);
  } else {
    const ShardDirectory data(options.data);
    if (!fingerprint.empty()) data.require_tokenizer(fingerprint, report.subject);
    report.probe = options.data;
    batches = data_probe(config, data, options.max_tokens, device);
  }
  const c10::InferenceMode guard;
  const Weights weights = make_weights(config, model.parameters, at::kFloat);
  report.spectral = spectral_report(config, weights);
  const int64_t loops = options.loops ? options.loops : 2 * config.max_loop_iters;
  report.dynamics = measure_dynamics(config, weights, batches, loops);
}

void check_checkpoint(const Options& options, StabilityReport& report) {
  const at::Device device = options.compute.select();
  const LoadedCheckpoint loaded =
      load_checkpoint(options.run.empty() ? options.checkpoint : options.run, device);
  report.subject = loaded.path.string();
  report.weights = loaded.nonfinite;
  report.config = loaded.config.model;
  measure(options, *loaded.model, loaded.tokenizer ? loaded.tokenizer->fingerprint() : "", device,
          report);
}

// A model as training would begin it. One that memory cannot hold has its static part checked
// alone.
void check_preset(const Options& options, StabilityReport& report) {
  Config config = load_preset(options.preset);
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  config.validate();
  report.subject = "preset " + options.preset + ", freshly initialised";
  report.config = config.model;
  const at::Device device = options.compute.select();
  const Plan plan = make_plan(config.model, config.model.max_loop_iters, 1);
  const double needed_bytes = static_cast<double>(plan.parameters) * sizeof(float);
  // A quarter is left for activations and the logits.
  if (device.is_cuda() || needed_bytes <= 0.75 * available_memory_bytes()) {
    try {
      Model model(config.model, device);
      model.parameters.initialize(config.model, options.seed);
      report.weights = find_nonfinite(named_tensors(model.parameters));
      measure(options, model, "", device, report);
      return;
    } catch (const c10::OutOfMemoryError&) {
    }
  }
  log_warning(
      strprintf("%s needs %s for its weights, more than is free on %s: "
                "checking the static part only",
                options.preset.c_str(), human_bytes(needed_bytes).c_str(), device.str().c_str()));
  report.spectral = spectral_report(config.model, initial_injection_weights(config.model));
}

int run(const Options& options) {
  if (!options.run.empty() + !options.checkpoint.empty() + !options.preset.empty() != 1) {
    fail(ErrorKind::usage, "give one of RUN, --checkpoint RUN and --preset NAME");
  }
  if (!options.assignments.empty() && options.preset.empty()) {
    fail(ErrorKind::usage, "--set changes a preset; a checkpoint has its configuration");
  }
  options.thresholds.validate();
  StabilityReport report;
  report.thresholds = options.thresholds;
  options.preset.empty() ? check_checkpoint(options, report) : check_preset(options, report);
  report.verdict = judge(report.spectral, &report.dynamics, report.thresholds,
                         report.weights.value_or(NonFinite()));
  const std::string text =
      options.as_json ? json_text(to_json(report)) : to_text(report, isatty(STDOUT_FILENO) == 1);
  print_lines(text);
  return report.verdict.stable() ? 0 : static_cast<int>(ErrorKind::check_failed);
}

void declare(CLI::App& app, Options& o) {
  app.add_option("run", o.run, "Run folder or step folder of a trained model")->type_name("RUN");
  app.add_option("--checkpoint", o.checkpoint, "The same as RUN")->type_name("RUN");
  app.add_option("--preset", o.preset, "Check a freshly initialised model of this preset")
      ->type_name("NAME");
  app.add_option("--set", o.assignments, "Change one key of the preset; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--loops", o.loops, "Loops to run; default: twice model.max_loop_iters")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app.add_option("--data", o.data,
                 "Token shards whose validation split the model runs on; default: random ids")
      ->type_name("DIR");
  app.add_option("--max-tokens", o.max_tokens, "Most tokens to run on; default: 2048")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  app.add_option("--max-rho", o.thresholds.max_rho, "The check fails unless ρ(A) < X; default: 1")
      ->type_name("X");
  app.add_option("--max-growth", o.thresholds.max_growth,
                 "The check fails if the state grows more than X-fold beyond max_loop_iters; "
                 "default: 10")
      ->type_name("X");
  app.add_option("--max-state", o.thresholds.max_state,
                 "The check fails if the state's mean norm is above X at a loop; default: 65536")
      ->type_name("X");
  o.compute.declare(app);
  app.add_option("--seed", o.seed, "Of random ids and of initial weights; default: 1")
      ->type_name("N");
  app.add_flag("--json", o.as_json, "Print one JSON object (mythos.stability/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(argc, argv,
                     {"mythos-stability-check",
                      "Check that a model's recurrence is stable: that its weights are finite, the "
                      "spectral radius "
                      "of its linear part, and the state over more loops than it was made for.",
                      R"(mythos stability-check runs/nano --data data/
          mythos stability-check runs/nano --loops 64 --max-growth 2 --json
          mythos stability-check --preset mythos-1t
          mythos stability-check --preset nano --set injection=add)",
                      [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); },
                      "Fewer --max-tokens need less."});
}
