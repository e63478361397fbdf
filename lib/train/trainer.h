#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "config/config.h"
#include "data/sample/data_list.h"

namespace mythos {

struct TrainOptions {
  // Of a preset or file. Not needed with a checkpoint to resume or to begin with: its own is used
  // then.
  std::optional<Config> config;
  // "key=value", applied in order over the configuration.
  std::vector<std::string> assignments;
  // Shard directories. Without weights sequences are drawn in proportion to their tokens.
  std::vector<DataEntry> data;
  fs::path run;  // where checkpoints and metrics.jsonl go
  bool resume = false;
  bool overwrite = false;  // begin anew in a run that has checkpoints, which are removed
  fs::path init_from;      // weights of a new run: a checkpoint or a run; empty: drawn
  std::string device = "auto";
};

struct TrainResult {
  fs::path checkpoint;  // the last that was saved
  std::string device, compute_type;
  int64_t parameters = 0;
  int64_t first_step = 0;        // steps that were done before
  int64_t step = 0;              // steps that are done
  int64_t tokens = 0;            // targets since the run began
  int64_t skipped_steps = 0;     // since the run began; in fp16 those whose gradients overflowed
  double seconds = 0;            // of training since the run began
  double tokens_per_second = 0;  // of this process
  // Of the newest lines of metrics; nothing before the first.
  std::optional<double> loss, bpb, val_loss, val_bpb;
  std::optional<int64_t> val_loops;
  int signal = 0;  // SIGINT, SIGTERM or SIGHUP when one ended the run, after a checkpoint was saved
};

// Trains to train.steps, from the start or from the run's newest whole checkpoint, and saves
// checkpoints. Watches signals (base/signals.h). The result of a run that was interrupted and
// resumed is that of one that was not, bit for bit.
// Whatever ends the run, the steps since the last checkpoint are saved first where they are sound:
// when data or the disk fail, when memory runs out. The run directory belongs to one process at a
// time.
//   usage      the run has checkpoints and neither resume nor overwrite is asked for; another
//              process trains in it; a key that cannot change is changed on resume; the
//              configuration is invalid or does not fit the checkpoint to begin with
//   data       the shards belong to another tokenizer, or hold too few tokens; every checkpoint of
//              the run to be resumed is damaged
//   diverged   the loss or the gradient norm is not finite, and nothing is saved (in fp16: for many
//              steps in a row at the least loss scale); or the loss is far above its lowest
//              (train.on_blow_up)
TrainResult train(const TrainOptions& options);

// One object, schema "mythos.train/1" (mythos-train(1)).
nlohmann::ordered_json to_json(const TrainResult& result);

}  // namespace mythos
