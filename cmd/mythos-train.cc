#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/log.h"
#include "base/print.h"
#include "base/signals.h"
#include "base/strings.h"
#include "config/key_options.h"
#include "device/compute_options.h"
#include "device/device.h"
#include "train/trainer.h"

using namespace mythos;

namespace {

struct Options {
  std::string preset, config_file, run, init_from;
  std::vector<std::string> data;
  std::vector<std::string> assignments;  // of --set
  KeyOptions keys;                       // laid over them
  ComputeOptions compute;
  bool resume = false, overwrite = false, deterministic = false, as_json = false;
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

int run(const Options& options) {
  options.compute.set_threads();
  if (options.deterministic) use_deterministic_operators();
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
  train_options.device = options.compute.device;
  StopSignals signals;
  train_options.stop = signals.token();
  train_options.take_save_request = take_save_request;
  train_options.before_first_step = [&] {
    signals.watch();
    watch_save_requests();
  };
  outlive_readers();

  const TrainResult result = train(train_options);
  if (result.step > result.first_step) log_info(summary(result));
  if (result.stopped) {
    log_info("stopped by a signal after saving " + result.checkpoint.string() +
             "; --resume goes on from there");
  }
  if (options.as_json) {
    print_json(to_json(result));
  } else {
    std::printf("%s\n", result.checkpoint.c_str());
  }
  if (result.stopped) {
    std::fflush(stdout);
    exit_by_signal(signals.signal());
  }
  return 0;
}

void declare(CLI::App& app, Options& o) {
  auto* preset = app.add_option("--preset", o.preset, "Configuration by name")->type_name("NAME");
  app.add_option("--config", o.config_file, "Configuration by TOML file")
      ->type_name("FILE")
      ->excludes(preset);
  app.add_option("--data", o.data,
                 "Shard directory, from 'mythos tokenize'; DIR:WEIGHT sets its share of the "
                 "sequences; may be repeated")
      ->type_name("DIR")
      ->allow_extra_args(false)
      ->required();
  app.add_option("--out", o.run, "Run directory: checkpoints and metrics.jsonl")
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
                 "Begin a new run with the weights of a checkpoint, or of a run's newest")
      ->type_name("CHECKPOINT");
  o.compute.declare(app);
  app.add_flag("--deterministic", o.deterministic,
               "Only operators that give the same bits each time, on CUDA too");
  app.add_flag("--json", o.as_json, "Print one JSON object at the end (mythos.train/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
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
          mythos train --config my.toml --data shards --out runs/my --device cuda --json)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); },
       "train.batch_size (with more train.grad_accum), train.seq_len and "
       "train.recompute=block save memory; 'mythos plan' estimates what is needed."});
}
