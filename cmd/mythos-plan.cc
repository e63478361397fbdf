#include <cstdio>
#include <nlohmann/json.hpp>

#include "arch/plan_report.h"
#include "base/cli.h"
#include "base/error.h"
#include "base/print.h"
#include "base/strings.h"

using namespace mythos;

namespace {

struct Options {
  std::string preset, file, contexts;
  std::vector<std::string> assignments;
  PlanOptions plan;
  bool all = false, as_json = false;
};

PlanReport report(const std::string& name, Config config, const Options& options) {
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  config.validate();
  return make_plan_report(name, config, options.plan);
}

void plan_one(const Options& options) {
  const bool from_preset = !options.preset.empty();
  const PlanReport planned =
      report(from_preset ? options.preset : options.file,
             from_preset ? load_preset(options.preset) : load_config_file(options.file), options);
  if (options.as_json) {
    nlohmann::json out = to_json(planned);
    out["schema"] = "mythos.plan/1";
    print_json(out);
  } else {
    print_lines(plan_text(planned));
  }
}

void plan_all(const Options& options) {
  std::vector<PlanReport> reports;
  for (const PresetInfo& preset : list_presets()) {
    reports.push_back(report(preset.name, load_config_file(preset.path), options));
  }
  if (!options.as_json) {
    print_lines(plan_table(reports));
    return;
  }
  nlohmann::json plans = nlohmann::json::array();
  for (const PlanReport& planned : reports) plans.push_back(to_json(planned));
  print_json(nlohmann::json{{"schema", "mythos.plans/1"}, {"plans", plans}});
}

int run(Options& options) {
  if (!options.preset.empty() + !options.file.empty() + options.all != 1) {
    fail(ErrorKind::usage, "give one of --preset NAME, --config FILE and --all");
  }
  if (!options.contexts.empty()) {
    options.plan.contexts = parse_int_list(options.contexts, "--context");
  }
  options.all ? plan_all(options) : plan_one(options);
  return 0;
}

void declare(CLI::App& app, Options& o) {
  static const CLI::Range kCount(int64_t{1}, int64_t{1} << 40);
  app.add_option("--preset", o.preset, "Preset; 'mythos presets list' shows them")
      ->type_name("NAME");
  app.add_option("--config", o.file, "Configuration file (TOML)")->type_name("FILE");
  app.add_flag("--all", o.all, "All presets as one table");
  app.add_option("--set", o.assignments, "Change one key; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--loops", o.plan.loops, "Loops of the core; default: model.max_loop_iters")
      ->type_name("N")
      ->check(kCount);
  app.add_option("--context", o.contexts,
                 "Context lengths to show the cache for; default: parts of model.max_seq_len")
      ->type_name("N[,N...]");
  app.add_option("--batch-size", o.plan.batch_size,
                 "Sequences of a micro-batch; default: train.batch_size")
      ->type_name("N")
      ->check(kCount);
  app.add_option("--seq-len", o.plan.seq_len,
                 "Tokens of a training sequence; default: train.seq_len")
      ->type_name("N")
      ->check(kCount);
  app.add_flag("--json", o.as_json,
               "Print one JSON object (mythos.plan/1; with --all mythos.plans/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-plan",
       "Say what a model costs before anything is allocated: parameters, computation, memory.",
       R"(mythos plan --preset mythos-1b
          mythos plan --preset nano --loops 16 --set ffn=dense
          mythos plan --config my.toml --context 512,1024 --batch-size 16 --seq-len 512 --json
          mythos plan --all)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); }});
}
