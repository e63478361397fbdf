#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "arch/plan.h"
#include "base/cli.h"
#include "base/error.h"
#include "base/print.h"
#include "device/compute_options.h"
#include "stability/check.h"

using namespace mythos;

namespace {

struct Options {
  std::string run, checkpoint, preset;
  std::vector<std::string> assignments;
  ComputeOptions compute;
  StabilityOptions stability;
  bool as_json = false;
};

StabilityReport check(const Options& options) {
  if (options.preset.empty()) {
    const at::Device device = options.compute.select();
    return check_checkpoint(
        load_checkpoint(options.run.empty() ? options.checkpoint : options.run, device), device,
        options.stability);
  }
  Config config = load_preset(options.preset);
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  config.validate();
  return check_preset(options.preset, config, options.compute.select(), options.stability);
}

int run(const Options& options) {
  if (!options.run.empty() + !options.checkpoint.empty() + !options.preset.empty() != 1) {
    fail(ErrorKind::usage, "give one of RUN, --checkpoint RUN and --preset NAME");
  }
  if (!options.assignments.empty() && options.preset.empty()) {
    fail(ErrorKind::usage, "--set changes a preset; a checkpoint has its configuration");
  }
  options.stability.thresholds.validate();
  const StabilityReport report = check(options);
  const std::string text =
      options.as_json ? json_text(to_json(report)) : to_text(report, isatty(STDOUT_FILENO) == 1);
  print_lines(text);
  return report.verdict.stable() ? 0 : static_cast<int>(ErrorKind::check_failed);
}

void declare(CLI::App& app, Options& o) {
  app.add_option("RUN", o.run, "Run folder, step folder, or a published model's folder");
  app.add_option("--checkpoint", o.checkpoint, "Another way to give RUN")->type_name("RUN");
  app.add_option("--preset", o.preset, "Check a freshly initialised model of this preset")
      ->type_name("NAME");
  app.add_option("--set", o.assignments, "Change one key of the preset; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--loops", o.stability.loops, "Loops to run; default: twice model.max_loop_iters")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app.add_option("--data", o.stability.data,
                 "Token shards whose validation split the model runs on; default: random ids")
      ->type_name("DIR");
  app.add_option("--max-tokens", o.stability.max_tokens, "Most tokens to run on; default: 2048")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  app.add_option("--max-rho", o.stability.thresholds.max_rho,
                 "The check fails unless ρ(A) < X; default: 1")
      ->type_name("X");
  app.add_option("--max-growth", o.stability.thresholds.max_growth,
                 "The check fails if the state grows more than X-fold beyond max_loop_iters; "
                 "default: 10")
      ->type_name("X");
  app.add_option("--max-state", o.stability.thresholds.max_state,
                 "The check fails if the state's mean norm is above X at a loop; default: 65536")
      ->type_name("X");
  o.compute.declare(app);
  app.add_option("--seed", o.stability.seed,
                 "Seed of random ids and of initial weights; default: 1")
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
