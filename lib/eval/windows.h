#pragma once
#include "base/clock.h"
#include "data/sample/sampler.h"
#include "eval/likelihood.h"

// What evaluations of a model over a split have in common.
namespace mythos {

class Stopwatch {
 public:
  double seconds() const { return seconds_since(start_); }

 private:
  Clock::time_point start_ = Clock::now();
};

// Targets of a split that are read: every token but the first, at most max_tokens. Fails (data)
// where there are none.
int64_t target_count(const ShardDirectory& data, ShardDirectory::Split split, int64_t max_tokens);

// f(batch) for batches of `batch_size` windows in stream order (sequential_batch), targets beyond
// the last one wanted being -1. Counts tokens and bytes into `out`, and reports progress.
void for_each_batch(const ShardDirectory& data, const std::vector<int32_t>& byte_lengths,
                    const LikelihoodOptions& options, int64_t batch_size, Likelihood& out,
                    const std::function<void(Batch& batch)>& f);

// Fills flops_saved of a row whose loops_run is known, over a mean context of half of
// `context_tokens`. `looks`: every loop goes on through coda and head, as the exit by KL does.
void count_saved(const ModelConfig& config, int64_t context_tokens, bool looks, Likelihood& out);

}  // namespace mythos
