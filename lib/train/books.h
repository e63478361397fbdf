#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>

#include "base/clock.h"
#include "base/progress.h"
#include "config/config.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/step.h"
#include "train/trainer.h"
#include "train/utilisation.h"
#include "train/validation.h"

namespace mythos {

// The books of a run: what it counts of its steps, the time that it trains, and the lines of
// metrics that it writes of both. What steps found stays on the device, summed, until a number is
// asked for.
class Books {
 public:
  struct Options {
    fs::path run;  // the directory; empty: no files are written
    int64_t resumed_step = 0;
    bool counts_skips = false;  // steps may be skipped
    at::Device device = at::kCPU;
    std::optional<double> device_peak;  // FLOP/s; nothing: unknown
    int64_t devices = 1;
  };
  // Keeps the numbers of `result`, which must outlive it as `config` must.
  Books(const Config& config, const Options& options, TrainResult& result);

  // What a checkpoint's state says of the steps before it, and the newest line of validation in the
  // metrics (newest_validation(), of the rank that writes).
  void save(nlohmann::json& state) const;
  void restore(const nlohmann::json& state);
  const nlohmann::json& newest_validation() const { return metrics_.last_validation(); }

  // Time counts as training's between these two; pause() again counts what has passed since.
  void go_on() { mark_ = Clock::now(); }
  void pause();
  double seconds() const { return seconds_ + interval_seconds_; }

  // Adds a step with these targets and numbers of loops of its sequences, on all ranks.
  void add(const StepResult& step, const GroupedOptimizer::Update& update, const TargetCount& count,
           std::span<const int64_t> loops);
  // Reads the sums since the last line, which waits for the device.
  const Interval& read();
  const Interval& interval() const { return interval_; }

  // What a line of metrics says beside the sums.
  struct LineFacts {
    int64_t step = 0;
    double loops = 0, lr = 0;                // of the step
    double waited_seconds = 0;               // for data, in this process
    std::optional<double> loss_scale;        // in fp16
    std::optional<double> rank_spread = {};  // StepMetrics::rank_spread
  };
  // Writes the line of metrics of the sums that were read, begins new ones and returns the line's
  // loss.
  double write_line(const LineFacts& facts);
  // Shows the step on a terminal, between lines of metrics.
  void show_step(int64_t step);
  // `by_source`: the line has each source's numbers, too.
  void write_validation(int64_t step, const Validation& found, bool by_source);
  // Writes another line.
  void append(const nlohmann::ordered_json& line) { metrics_.append(line); }

 private:
  int64_t counted_numbers() const { return counts_skips_ ? 5 : 2; }
  Tensor numbers_of_step(const StepResult& step, const GroupedOptimizer::Update& update,
                         const TargetCount& count) const;

  const Config& config_;
  bool counts_skips_;
  at::Device device_;
  TrainResult& result_;
  MetricsFile metrics_;
  Progress progress_;
  Utilisation utilisation_;
  Interval::Columns columns_;
  Interval interval_;  // its sums of what steps found lie in sums_ until they are read
  // [2] fp64 on the device: the sums of nats and of gradient norms since the last line. Where steps
  // may be skipped [5]: after these the interval's skipped, lost_targets and lost_bytes. Then come
  // those of columns_.
  Tensor sums_;
  int64_t skipped_steps_ = 0;  // up to the last line of metrics
  double waited_seconds_ = 0;  // for batches, up to the last line
  double interval_seconds_ = 0, session_seconds_ = 0, seconds_ = 0;
  Clock::time_point mark_;
  int64_t session_tokens_ = 0, session_steps_ = 0;
  int64_t logged_tokens_ = 0;  // session_tokens_ at the last line of metrics
  StepMetrics shown_;          // the newest line of metrics
};

}  // namespace mythos
