#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/stop.h"
#include "config/config.h"
#include "data/sample/data_list.h"

namespace mythos {

class Parameters;
class Ranks;

struct TrainOptions {
  // The configuration of a preset or file. Not needed with a checkpoint to resume or to begin with,
  // whose own is then used.
  std::optional<Config> config;
  // Assignments "key=value", which change the configuration in their order.
  std::vector<std::string> assignments;
  // The shard directories. Without weights, sequences are drawn in proportion to the directories'
  // tokens.
  std::vector<DataEntry> data;
  fs::path run;  // directory for checkpoints and metrics.jsonl
  bool resume = false;
  bool overwrite = false;  // begin anew in a run that has checkpoints, and remove those
  fs::path init_from;      // checkpoint or run with the first weights; if empty they are drawn
  std::string device = "auto";
  // The processes that train together, this one among them; null: it trains alone. The first of
  // them writes metrics and checkpoints.
  Ranks* ranks = nullptr;
  // For tests: called behind each backward pass with the steps that were done before, while the
  // parameters hold the step's gradients.
  std::function<void(int64_t step, const Parameters& parameters)> after_backward;
  // Called once everything that can be wrong with data and configuration has been found good.
  std::function<void()> before_first_step;
  StopToken stop;  // saves and ends the run behind the step under way
  // Asked behind each step: whether to save now.
  std::function<bool()> take_save_request;
};

struct TrainResult {
  fs::path checkpoint;  // the last one that was saved
  std::string device, compute_type;
  int64_t parameters = 0;
  int64_t first_step = 0;  // steps that were done before this process
  int64_t step = 0;        // steps that are done
  int64_t tokens = 0;      // targets since the run began
  // Steps since the run began that changed nothing: in fp16 those whose gradients overflowed, and
  // those that train.skip_steps let pass.
  int64_t skipped_steps = 0;
  int64_t rollbacks = 0;         // returns to an earlier checkpoint since the run began
  double seconds = 0;            // of training since the run began
  double tokens_per_second = 0;  // of this process
  // The numbers of the newest lines of metrics; nothing before the first line.
  std::optional<double> loss, bpb, val_loss, val_bpb;
  std::optional<int64_t> val_loops;
  bool stopped = false;  // by TrainOptions::stop, after a checkpoint was saved
};

// Trains to train.steps, from the start or from the run's newest whole checkpoint, and saves
// checkpoints. A run that was stopped and resumed has the same result, bit for bit, as one that was
// not. If something other than the model ends the run, such as the data, the disk or a lack of
// memory, the steps since the last checkpoint are saved first. The run directory belongs to one
// process at a time, or to the ranks of one job, whose number may change whenever the run is
// resumed: a step takes train.batch_size·train.grad_accum sequences, and computes the same up to
// rounding, on any number of ranks. Fails with
//   usage      ranks do not divide the sequences of a step, or do not train alike; the run has
//              checkpoints and neither resume nor overwrite is asked for; another
//              process trains in it; a key that cannot change is changed on resume; the
//              configuration is invalid or does not fit the checkpoint to begin with
//   data       the shards belong to another tokenizer, or hold too few tokens; every checkpoint of
//              the run to be resumed is damaged
//   diverged   the loss or the gradient norm is not finite, and nothing is saved (in fp16: for many
//              steps in a row at the least loss scale); or more than train.skip_steps steps in a
//              row are bad, and no return to a checkpoint is left (train.rollbacks); or the loss is
//              far above its lowest (train.on_blow_up)
TrainResult train(const TrainOptions& options);

// The result as an object of schema "mythos.train/1" (mythos-train(1)).
nlohmann::ordered_json to_json(const TrainResult& result);

}  // namespace mythos
