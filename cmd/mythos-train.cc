#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "base/signals.h"
#include "base/strings.h"
#include "config/key_options.h"
#include "device/compute_options.h"
#include "device/device.h"
#include "rank_options.h"
#include "train/setup.h"
#include "train/trainer.h"

using namespace mythos;

namespace {

struct Options {
  std::string preset, config_file, run, init_from;
  std::vector<std::string> data;
  std::vector<std::string> assignments;  // of --set
  KeyOptions keys;                       // laid over them
  ComputeOptions compute;
  RankOptions ranks;
  bool resume = false, overwrite = false, deterministic = false, as_json = false;
  bool dump_config = false;
};

std::string summary(const TrainResult& result) {
  const int64_t steps = result.step - result.first_step;
  std::string text =
      strprintf("%d steps, %s tokens in %s", steps, human_count(static_cast<double>(result.tokens)),
                human_duration(result.seconds));
  if (result.first_step > 0) {
    text = strprintf("steps %d to %d, %s tokens in %s since step 0", result.first_step + 1,
                     result.step, human_count(static_cast<double>(result.tokens)),
                     human_duration(result.seconds));
  }
  if (result.bpb) text += strprintf("; training %.4f bits per byte", *result.bpb);
  if (result.val_bpb) {
    text += strprintf("; validation %.4f at %d loops", *result.val_bpb, *result.val_loops);
  }
  if (result.skipped_steps > 0) {
    text += strprintf("; %d steps skipped since step 0%s", result.skipped_steps,
                      result.compute_type == "fp16" ? ", their gradients overflowed in fp16" : "");
  }
  if (result.rollbacks > 0) {
    text += strprintf("; %d returns to an earlier checkpoint", result.rollbacks);
  }
  return text;
}

TrainOptions train_options_of(const Options& options) {
  TrainOptions train_options;
  if (!options.preset.empty()) train_options.config = load_preset(options.preset);
  if (!options.config_file.empty()) train_options.config = load_config_file(options.config_file);
  train_options.assignments = options.assignments;
  const std::vector<std::string>& keys = options.keys.assignments();
  train_options.assignments.insert(train_options.assignments.end(), keys.begin(), keys.end());
  train_options.data = parse_data_list(options.data);
  train_options.run = options.run;
  train_options.resume = options.resume;
  train_options.overwrite = options.overwrite;
  train_options.init_from = options.init_from;
  return train_options;
}

// --dump-config: the configuration instead of the run.
int dump_config(const Options& options) {
  if (rank_place().rank != 0) return 0;
  const std::string source =
      options.preset.empty() ? options.config_file : "preset " + options.preset;
  const auto stages = effective_config(train_options_of(options), source);
  print_lines(
      "# The whole configuration; where a value is not the default, its source stands in "
      "brackets.\n" +
      to_toml(stages));
  return 0;
}

int run(const Options& options) {
  const RankPlace place = rank_place();
  options.compute.set_threads();
  if (options.deterministic) use_deterministic_operators();
  TrainOptions train_options = train_options_of(options);
  train_options.device = options.compute.device;
  train_options.ranks = options.ranks.join(place, train_options.device);
  if (place.restarts > 0) {  // by the launcher, after a failure
    train_options.resume = true;
    train_options.overwrite = false;
  }
  StopSignals signals;
  train_options.stop = signals.token();
  train_options.take_save_request = take_save_request;
  train_options.before_first_step = [&] {
    signals.watch();
    watch_save_requests();
  };
  outlive_readers();

  TrainResult result;
  run_together([&] { result = train(train_options); });
  if (result.step > result.first_step) log_info(summary(result));
  if (result.stopped) {
    log_info("stopped by a signal after saving " + result.checkpoint.string() +
             "; --resume goes on from there");
  }
  if (place.rank != 0) {
    // The first has the result.
  } else if (options.as_json) {
    print_json(to_json(result));
  } else {
    std::printf("%s\n", result.checkpoint.c_str());
  }
  if (result.stopped) {
    std::fflush(stdout);
    exit_by_signal(signals.signal() ? signals.signal() : SIGTERM);  // to another rank
  }
  return 0;
}

int run_all(const Options& options, char** argv) {
  if (options.dump_config) return dump_config(options);
  return options.ranks.start(argv, [&] { return run(options); });
}

void declare(CLI::App& app, Options& o) {
  auto* preset = app.add_option("--preset", o.preset, "Configuration by name")->type_name("NAME");
  app.add_option("--config", o.config_file, "Configuration by TOML file")
      ->type_name("FILE")
      ->excludes(preset);
  auto* data =
      app.add_option("--data", o.data,
                     "Shard directory, from 'mythos tokenize'; DIR:WEIGHT sets its share of the "
                     "sequences; may be repeated")
          ->type_name("DIR")
          ->allow_extra_args(false)
          ->required();
  auto* out = app.add_option("--out", o.run, "Run directory: checkpoints and metrics.jsonl")
                  ->type_name("RUN")
                  ->required();
  for (const char* key :
       {"steps", "length", "batch_size", "seq_len", "lr", "seed", "recompute", "freeze"}) {
    o.keys.declare(app, std::string("train.") + key);
  }
  app.add_option("--set", o.assignments, "Change any key of the configuration; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  auto* resume = app.add_flag("--resume", o.resume,
                              "Go on from the newest checkpoint of RUN, if there is one");
  app.add_flag("--overwrite", o.overwrite,
               "Begin anew in a RUN that has checkpoints, which are removed")
      ->excludes(resume);
  app.add_option("--init-from", o.init_from,
                 "Begin a new run with the weights of a checkpoint, of a run's newest, or of a "
                 "published model's folder")
      ->type_name("CHECKPOINT");
  app.add_flag_callback(
         "--dump-config",
         [&o, data, out] {
           o.dump_config = true;
           data->required(false);
           out->required(false);
         },
         "Print the whole configuration as TOML, which --config reads, instead of training; --data "
         "and --out may be left out")
      ->trigger_on_parse();
  o.compute.declare(app);
  o.ranks.declare(app, "Train");
  app.add_flag("--deterministic", o.deterministic,
               "Only operators that give the same bits each time, on CUDA too");
  app.add_flag("--json", o.as_json, "Print one JSON object at the end (mythos.train/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const int status = run_command(
      argc, argv,
      {"mythos-train", "Train a recurrent-depth transformer on token shards.",
       R"(mythos train --preset tiny --data shards --out runs/tiny
          mythos train --preset nano --data shards --out runs/nano --steps 4000 --set train.lr=1e-3
          mythos train --preset nano --data shards --out runs/muon --length 2e --set optimizer=muon
          mythos train --data shards --out runs/nano --resume
          mythos train --init-from runs/nano/best --data more --out runs/tuned --lr 3e-4 --steps 500
          mythos train --init-from runs/nano --data more --out runs/late --freeze "embed.* prelude.*"
          mythos train --init-from runs/nano --data more --out runs/lora --set tune_rank=8 --lr 1e-3
          mythos train --preset nano --data web:0.7 --data code:0.3 --out runs/mix --set packing=best-fit
          mythos train --config my.toml --data shards --out runs/my --device cuda --json
          mythos train --preset nano --set train.lr=1e-3 --data shards --dump-config > my.toml
          mythos train --preset nano --data shards --out runs/nano --nproc 2
          torchrun --no-python --nproc-per-node 8 mythos train --preset nano --data shards --out runs/nano)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run_all(options, argv); },
       "train.batch_size (with more train.grad_accum), train.seq_len and "
       "train.recompute=block save memory; 'mythos plan' estimates what is needed."});
  return end_of_ranks(status);
}
