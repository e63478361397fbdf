#include <unistd.h>

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
#include "dist/connect.h"
#include "dist/spawn.h"
#include "train/trainer.h"

using namespace mythos;

namespace {

struct Options {
  std::string preset, config_file, run, init_from;
  std::vector<std::string> data;
  std::vector<std::string> assignments;  // of --set
  KeyOptions keys;                       // laid over them
  ComputeOptions compute;
  int64_t nproc = 1;
  double timeout_seconds = kRankTimeoutSeconds;
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

// The ranks of the job that this process belongs to. They outlive a failure, since connections to a
// lost rank do not end in time.
std::unique_ptr<Ranks> ranks;

// The device of a process among those of a machine: one CUDA device for each where there are
// several.
std::string own_device(const std::string& device, const RankPlace& place) {
  if (place.size == 1 || (device != "auto" && device != "cuda")) return device;
  const auto count = static_cast<int64_t>(cuda_architectures().size());
  if (count == 0 || (count == 1 && place.local_rank > 0 && device == "auto")) return device;
  return count == 1 ? "cuda:0" : strprintf("cuda:%d", place.local_rank);
}

void connect_ranks(const Options& options, const RankPlace& place, TrainOptions& train_options) {
  if (options.nproc > 1 && place.size > 1 && !is_spawned()) {
    fail(ErrorKind::usage,
         strprintf("--nproc %d contradicts %s, which has started %d processes.", options.nproc,
                   place.launcher, place.size),
         "Leave --nproc out under a launcher");
  }
  train_options.device = own_device(options.compute.device, place);
  if (place.size == 1) return;
  if (place.rank != 0) set_log_level(LogLevel::error);  // the first tells of all
  ranks = connect(place, resolve_device(train_options.device), options.timeout_seconds);
  train_options.ranks = ranks.get();
  if (place.restarts > 0) {  // by the launcher, after a failure
    train_options.resume = true;
    train_options.overwrite = false;
  }
}

// Trains; if this rank fails, the others learn why.
TrainResult train_together(const TrainOptions& options) {
  const auto leave = [](const std::string& why) {
    if (!ranks) return;
    ranks->leave(why);
    if (ranks->told_elsewhere()) set_log_level(LogLevel::off);
  };
  try {
    return train(options);
  } catch (const Error& error) {
    leave(error.message());
    throw;
  } catch (const std::exception& error) {
    leave(split(error.what(), '\n')[0]);
    throw;
  }
}

int run(const Options& options) {
  const RankPlace place = rank_place();
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
  connect_ranks(options, place, train_options);
  StopSignals signals;
  train_options.stop = signals.token();
  train_options.take_save_request = take_save_request;
  train_options.before_first_step = [&] {
    signals.watch();
    watch_save_requests();
  };
  outlive_readers();

  const TrainResult result = train_together(train_options);
  ranks.reset();
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
  const bool alone = !is_spawned() && rank_place().size == 1;
  return options.nproc > 1 && alone ? spawn_ranks(options.nproc, argv, options.timeout_seconds)
                                    : run(options);
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
                 "Begin a new run with the weights of a checkpoint, of a run's newest, or of a "
                 "published model's folder")
      ->type_name("CHECKPOINT");
  o.compute.declare(app);
  app.add_option("--nproc", o.nproc,
                 "Train with N processes on this machine; torchrun, srun and mpirun start them "
                 "otherwise")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
  app.add_option("--timeout", o.timeout_seconds,
                 "Seconds that one of many processes waits for another before all end")
      ->type_name("F")
      ->check(CLI::Range(1.0, 1e7))
      ->capture_default_str();
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
          mythos train --preset nano --data shards --out runs/nano --nproc 2
          torchrun --no-python --nproc-per-node 8 mythos train --preset nano --data shards --out runs/nano)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run_all(options, argv); },
       "train.batch_size (with more train.grad_accum), train.seq_len and "
       "train.recompute=block save memory; 'mythos plan' estimates what is needed."});
  if (ranks) {  // a failure: connections to lost ranks would end late
    std::fflush(nullptr);
    _exit(status);
  }
  return status;
}
