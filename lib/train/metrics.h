#pragma once
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "report/event_file.h"

namespace mythos {

// Where metrics go beside RUN/metrics.jsonl.
struct MetricsCopies {
  bool tensorboard = false;  // RUN/tensorboard/, event files
  bool prometheus = false;   // RUN/metrics.prom, the newest numbers
};

// RUN/metrics.jsonl: a JSON object on each line, appended while a run goes on.
class MetricsFile {
 public:
  // Opens the file and keeps the lines of steps up to `resumed_step`, the step from which the run
  // goes on; 0 begins an empty file. Later lines, which a killed run wrote after its last
  // checkpoint, are removed, as the resumed run writes them again; so is a last line that was cut
  // short. An empty path is no file: what is appended is dropped.
  MetricsFile(const fs::path& path, int64_t resumed_step, const MetricsCopies& copies = {});
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  // The newest line of validation that was kept; null if there is none.
  const nlohmann::json& last_validation() const { return last_validation_; }

  // Appends a line. Fails (resources) if it cannot be written.
  void append(const nlohmann::ordered_json& line);

 private:
  fs::path path_;
  nlohmann::json last_validation_;
  std::FILE* file_ = nullptr;
  std::optional<EventFile> events_;
  bool prometheus_ = false;
  // The numbers of the newest lines: a line of validation does not take away those of training.
  std::vector<std::pair<std::string, double>> newest_;
};

// The measurements since the last line of metrics. They are sums, so that a checkpoint between two
// lines can carry them, and the next line is the same after a resume.
struct Interval {
  int64_t steps = 0, targets = 0, bytes = 0;
  double loops = 0;  // the sum over the steps of each one's mean over its sequences
  double nats = 0, grad_norm = 0;
  int64_t places = 0;  // positions of the sequences; those without a target are padding
  // The steps that were skipped (in fp16 those whose gradients overflowed, and those of
  // train.skip_steps), which do not count in grad_norm, and the targets and bytes of those steps
  // whose loss was not finite either, which do not count in nats.
  int64_t skipped = 0, lost_targets = 0, lost_bytes = 0;
  // The sums of the objective's terms by name, and of the positions that halted after 1, 2, …
  // loops; empty where there is one term, and where the model does not halt.
  std::vector<std::pair<std::string, double>> terms = {};
  std::vector<double> depth = {};
  double depth_run = 0;  // the loops that were computed for these positions
  // For each core layer the load of its experts, the positions that each had; empty without
  // experts.
  std::vector<std::vector<double>> expert_load = {};

  // Which sums there are beside the first ones.
  struct Columns {
    std::vector<std::string> terms;  // their names
    int64_t depths = 0;
    int64_t layers = 0, experts = 0;  // with experts: core layers, and experts of each
    int64_t count() const;
  };
  // Takes these sums, terms, depths, what was run for them and loads, and gives them; those that
  // the interval does not have are 0.
  void put_columns(const Columns& columns, std::span<const double> sums);
  std::vector<double> columns(const Columns& columns) const;

  double loss() const { return nats / static_cast<double>(targets - lost_targets); }
  double bits_per_byte() const;
  double mean_grad_norm() const { return grad_norm / static_cast<double>(steps - skipped); }
  double padding() const { return 1 - static_cast<double>(targets) / static_cast<double>(places); }
  double mean_loops() const { return loops / static_cast<double>(steps); }
  // The share of the loops' computing that would not have been done, had each position stopped
  // where it halted. Training computes all loops; decoding saves it.
  double halting_saves() const;
  // For each core layer the largest load as a multiple of the mean, and the entropy of the loads'
  // shares as one of that of even loads: both are 1 where all experts have as much to do. NaN for
  // a layer without load.
  std::vector<double> most_loaded() const;
  std::vector<double> load_entropy() const;
};
nlohmann::json to_json(const Interval& interval);
Interval interval_from_json(const nlohmann::json& json);

// A line of training metrics.
struct StepMetrics {
  int64_t step = 0, steps = 0;  // steps done, and steps of the whole run
  int64_t tokens = 0;           // targets since the run began
  Interval interval;
  double loops = 0;  // of the last step, the mean over its sequences
  double lr = 0;
  double data_wait = 0;  // share of the time that was spent waiting for batches
  double tokens_per_second = 0, seconds = 0, seconds_left = 0;
  std::optional<double> loss_scale;  // in fp16, the scale of the next step
  // The model's FLOPs (utilisation.h) as a share of the devices' peak, where that is known.
  std::optional<double> mfu;
  // Since the run began; where steps may be skipped.
  std::optional<int64_t> skipped_steps;
  // Where ranks hold different experts: the rows that the busiest rank's experts computed, as a
  // multiple of the mean of all ranks.
  std::optional<double> rank_spread = {};
};
// The line as it stands in the file; in fp16 it has "loss_scale", where ranks hold different
// experts "rank_spread", where steps may be skipped "skipped_steps", with several objectives
// "objectives", the mean of each term by name, and where the model halts "depth", the positions
// that halted after 1, 2, … loops, and "halting_saves"; with experts "experts", and where the peak
// is known "mfu".
nlohmann::ordered_json to_json(const StepMetrics& metrics);
// The line for a terminal:
//   step 120/1000  loss 3.21  bpb 1.86  |g| 0.80  lr 3.0e-03  loops 7.9  4.1K tok/s  ETA 3m05s
// Waiting for data of 5% and more is shown as "data wait 12%" before ETA, skipped steps of the
// interval as "3 skipped".
std::string progress_line(const StepMetrics& metrics);

}  // namespace mythos
