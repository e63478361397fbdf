#pragma once
#include "base/clock.h"
#include "data/sample/sampler.h"
#include "eval/likelihood.h"

// The common part of evaluations of a model over a split.
namespace mythos {

class Stopwatch {
 public:
  double seconds() const { return seconds_since(start_); }

 private:
  Clock::time_point start_ = Clock::now();
};

// The number of targets of a split that are read: every token but the first, at most max_tokens,
// among them those that a mask, or documents apart, then leave out. Fails (data) if there are none.
int64_t target_count(const ShardDirectory& data, ShardDirectory::Split split, int64_t max_tokens);

// Calls f(batch) for batches of `batch_size` windows in stream order (sequential_batch or
// DocumentWindows, by options.packing), in which targets beyond the last wanted one, and those that
// are the model's latent_token, are -1. They have document_begins where documents are masked.
// Counts tokens and bytes into `out`, and shows progress.
void for_each_batch(const ShardDirectory& data, const std::vector<int32_t>& byte_lengths,
                    const LikelihoodOptions& options, int64_t batch_size, int64_t latent_token,
                    Likelihood& out, const std::function<void(Batch& batch)>& f);

// Sets flops_saved of a row whose loops_run is known, for a mean context of half of
// `context_tokens`. With `looks`, every loop is followed by coda and head, as the exit by KL needs
// it.
void count_saved(const ModelConfig& config, int64_t context_tokens, bool looks, Likelihood& out);

}  // namespace mythos
