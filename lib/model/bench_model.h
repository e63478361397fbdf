#pragma once
#include <span>

#include "arch/plan.h"
#include "base/timing.h"
#include "device/peaks.h"
#include "model/model.h"

// What "mythos bench train", "prefill" and "decode" have in common.
namespace mythos {

struct ModelBench {
  std::string label;           // names the model in the facts
  std::vector<int64_t> loops;  // a row for each; empty means the model's max_loop_iters
  at::ScalarType compute_type = at::kFloat;
  uint64_t seed = 1;  // the token ids are drawn from it
  int repeat = 5, warmup = 1;
  bool counts_tensors = false;  // rows tell what tensors hold (device/tensor_memory.h)
  bool profile = false;         // rows of operators instead; takes one loop count
};

// What one repetition works through.
struct ModelWork {
  double tokens = 0;
  double flops = 0;  // 2 for each active multiply-accumulate
  double bytes = 0;  // that must come from memory; 0 where that is not what limits
};

// Measures the rows of one subject, each with its peak memory, and the device's peaks around them.
class ModelBenchRun {
 public:
  // Fails (usage) when `options` ask for what cannot be.
  ModelBenchRun(const std::string& subject, const Model& model, const ModelBench& options);

  nlohmann::ordered_json& facts() { return result_.facts; }
  std::span<const int64_t> loops() const { return options_.loops; }
  at::Device device() const { return device_; }

  void measure_row(int64_t loops, const ModelWork& work, const std::function<void()>& repetition);
  // Times a part of the newest row's work alone, so that no row waits for its parts, and adds the
  // part's share of the row, median to median.
  void measure_part(const std::string& name, const std::function<void()>& repetition);
  // Adds the shares of the peaks, fastest sample to fastest sample.
  BenchResult finish();

 private:
  void sample_peaks();
  std::vector<double> seconds_of_each(const std::function<void()>& repetition) const;
  // Memory since the last call; starts the next count.
  uint64_t take_peak_memory();

  ModelBench options_;
  at::Device device_;
  Peaks peaks_;
  BenchResult result_;
  uint64_t peak_memory_bytes_ = 0;
};

// `count` token ids below vocab_size, the same for a seed.
std::vector<uint32_t> random_ids(int64_t count, int64_t vocab_size, uint64_t seed);

}  // namespace mythos
