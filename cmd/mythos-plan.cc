#include <cstdio>
#include <nlohmann/json.hpp>

#include "arch/cluster.h"
#include "arch/plan_report.h"
#include "arch/twin.h"
#include "base/cli.h"
#include "base/error.h"
#include "base/print.h"
#include "base/strings.h"

using namespace mythos;

namespace {

struct Options {
  std::string preset, file, match_params, match_flops, contexts;
  std::vector<std::string> assignments;
  PlanOptions plan;
  ClusterOptions cluster;
  bool with_cluster = false, all = false, as_toml = false, as_json = false;
};

Config changed(Config config, const Options& options) {
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  config.validate();
  return config;
}

// A preset, or a file if the name is that of one.
Config load_named(const std::string& name) {
  const bool is_file = name.ends_with(".toml") || name.find('/') != name.npos;
  return is_file ? load_config_file(name) : load_preset(name);
}

std::string twin_line(const Twin& twin, const std::string& of) {
  const bool flops = twin.by == MatchBy::flops;
  return strprintf("Plain twin of %s by %s: %d layers of ffn_dim %d; %s %s, %s wanted (%+.2f%%)",
                   shown(of), flops ? "FLOPs" : "parameters", twin.config.model.core_layers,
                   twin.config.model.ffn_dim, with_commas(twin.reached),
                   flops ? "multiply-accumulates" : "parameters", with_commas(twin.wanted),
                   100 * twin.deviation());
}

nlohmann::json twin_json(const Twin& twin, const std::string& of) {
  return {{"of", of},
          {"by", enum_name(twin.by)},
          {"layers", twin.config.model.core_layers},
          {"ffn_dim", twin.config.model.ffn_dim},
          {"wanted", twin.wanted},
          {"reached", twin.reached}};
}

void print_config(const Config& config, const std::string& comment) {
  print_lines((comment.empty() ? "" : "# " + comment + "\n") + to_toml(config));
}

void print_report(const PlanReport& planned, const Config& config, const Options& options,
                  const nlohmann::json& twin) {
  nlohmann::json out = to_json(planned);
  out["schema"] = "mythos.plan/1";
  if (!twin.is_null()) out["twin"] = twin;
  std::string text = plan_text(planned);
  if (options.with_cluster) {
    ClusterOptions cluster = options.cluster;
    cluster.loops = planned.plan.loops;
    cluster.seq_len = planned.seq_len;
    const ClusterPlan many = make_cluster_plan(config, cluster);
    out["cluster"] = to_json(many);
    text += cluster_text(many);
  }
  options.as_json ? print_json(out) : print_lines(text);
}

void plan_one(const Options& options) {
  const bool from_preset = !options.preset.empty();
  const Config config =
      changed(from_preset ? load_preset(options.preset) : load_config_file(options.file), options);
  if (options.as_toml) {
    print_config(config, "");
  } else {
    const std::string& name = from_preset ? options.preset : options.file;
    print_report(make_plan_report(name, config, options.plan), config, options, nullptr);
  }
}

void plan_twin(const Options& options) {
  const bool flops = !options.match_flops.empty();
  const std::string& name = flops ? options.match_flops : options.match_params;
  const Config looped = changed(load_named(name), options);
  const int64_t seq_len = options.plan.seq_len ? options.plan.seq_len : looped.train.seq_len;
  const Twin twin =
      plain_twin(looped, flops ? MatchBy::flops : MatchBy::parameters, options.plan.loops, seq_len);
  if (options.as_toml) {
    print_config(twin.config, twin_line(twin, name));
    return;
  }
  PlanOptions plan = options.plan;
  plan.loops = 1;
  if (!options.as_json) print_lines(twin_line(twin, name) + "\n\n");
  print_report(make_plan_report("plain twin of " + name, twin.config, plan), twin.config, options,
               twin_json(twin, name));
}

void plan_all(const Options& options) {
  std::vector<PlanReport> reports;
  for (const PresetInfo& preset : list_presets()) {
    reports.push_back(make_plan_report(preset.name, changed(load_config_file(preset.path), options),
                                       options.plan));
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
  const bool twin = !options.match_params.empty() || !options.match_flops.empty();
  const int sources = !options.preset.empty() + !options.file.empty() + options.all +
                      !options.match_params.empty() + !options.match_flops.empty();
  if (sources != 1) {
    fail(ErrorKind::usage,
         "give one of --preset NAME, --config FILE, --all, --match-params OTHER "
         "and --match-flops OTHER");
  }
  if (!options.contexts.empty()) {
    options.plan.contexts = parse_int_list(options.contexts, "--context");
  }
  if (options.with_cluster && options.all) {
    fail(ErrorKind::usage, "--gpus is of one model: give --preset or --config with it, not --all");
  }
  options.all ? plan_all(options) : twin ? plan_twin(options) : plan_one(options);
  return 0;
}

void declare(CLI::App& app, Options& o) {
  static const CLI::Range kCount(int64_t{1}, int64_t{1} << 40);
  app.add_option("--preset", o.preset, "Preset; 'mythos presets list' shows them")
      ->type_name("NAME");
  app.add_option("--config", o.file, "Configuration file (TOML)")->type_name("FILE");
  CLI::Option* all = app.add_flag("--all", o.all, "All presets as one table");
  app.add_option("--match-params", o.match_params,
                 "The plain twin, without loops, that has as many parameters as this preset or "
                 "TOML file")
      ->type_name("OTHER");
  app.add_option("--match-flops", o.match_flops,
                 "The plain twin that takes as many FLOPs a token as this one at --loops")
      ->type_name("OTHER");
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
  CLI::Option* gpus =
      app.add_option("--gpus", o.cluster.gpus,
                     "Plan training on as many GPUs too: memory, communication and time by layout")
          ->type_name("N")
          ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
          ->each([&o](const std::string&) { o.with_cluster = true; });
  app.add_option("--gpu", o.cluster.gpu,
                 "Their kind: a100-80g, h100-80g, h200-141g, b200-180g, l40s-48g or rtx4090-24g "
                 "(default h100-80g)")
      ->type_name("KIND")
      ->needs(gpus);
  app.add_option("--efficiency", o.cluster.efficiency,
                 "Share of the peak that a GPU is assumed to reach (default 0.4)")
      ->type_name("X")
      ->check(CLI::Range(0.01, 1.0))
      ->needs(gpus);
  CLI::Option* json = app.add_flag("--json", o.as_json,
                                   "Print one JSON object (mythos.plan/1; with --all "
                                   "mythos.plans/1)");
  app.add_flag("--toml", o.as_toml, "Print the configuration, as a file for --config")
      ->excludes(json)
      ->excludes(all);
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
          mythos plan --preset mythos-3b --gpus 64 --gpu h100-80g
          mythos plan --match-params tiny --toml > twin.toml
          mythos plan --all)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); }});
}
