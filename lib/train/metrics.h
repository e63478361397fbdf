#pragma once
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/files.h"

namespace mythos {

// RUN/metrics.jsonl: a JSON object on each line, appended while a run goes on.
class MetricsFile {
 public:
  // Opens the file and keeps the lines of steps up to `resumed_step`, the step from which the run
  // goes on; 0 begins an empty file. Later lines, which a killed run wrote after its last
  // checkpoint, are removed, as the resumed run writes them again; so is a last line that was cut
  // short.
  MetricsFile(const fs::path& path, int64_t resumed_step);
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
};

// The measurements since the last line of metrics. They are sums, so that a checkpoint between two
// lines can carry them, and the next line is the same after a resume.
struct Interval {
  int64_t steps = 0, targets = 0, bytes = 0, loops = 0;
  double nats = 0, grad_norm = 0;
  int64_t places = 0;  // positions of the sequences; those without a target are padding
  // In fp16: the steps whose gradients overflowed, which do not count in grad_norm, and the targets
  // and bytes of those steps whose loss overflowed too, which do not count in nats.
  int64_t skipped = 0, lost_targets = 0, lost_bytes = 0;

  double loss() const { return nats / static_cast<double>(targets - lost_targets); }
  double bits_per_byte() const;
  double mean_grad_norm() const { return grad_norm / static_cast<double>(steps - skipped); }
  double padding() const { return 1 - static_cast<double>(targets) / static_cast<double>(places); }
  double mean_loops() const { return static_cast<double>(loops) / static_cast<double>(steps); }
};
nlohmann::json to_json(const Interval& interval);
Interval interval_from_json(const nlohmann::json& json);

// A line of training metrics.
struct StepMetrics {
  int64_t step = 0, steps = 0;  // steps done, and steps of the whole run
  int64_t tokens = 0;           // targets since the run began
  Interval interval;
  int64_t loops = 0;  // of the last step
  double lr = 0;
  double data_wait = 0;  // share of the time that was spent waiting for batches
  double tokens_per_second = 0, seconds = 0, seconds_left = 0;
  std::optional<double> loss_scale;  // in fp16, the scale of the next step
  int64_t skipped_steps = 0;         // since the run began
};
// The line as it stands in the file; in fp16 it has "loss_scale" and "skipped_steps".
nlohmann::ordered_json to_json(const StepMetrics& metrics);
// The line for a terminal:
//   step 120/1000  loss 3.21  bpb 1.86  |g| 0.80  lr 3.0e-03  loops 7.9  4.1K tok/s  ETA 3m05s
// Waiting for data of 5% and more is shown as "data wait 12%" before ETA, skipped steps of the
// interval as "3 skipped".
std::string progress_line(const StepMetrics& metrics);

}  // namespace mythos
