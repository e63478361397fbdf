#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/train_config.h"
#include "dist/ranks.h"
#include "train/setup.h"
#include "train/step.h"

// How the ranks of a job share a step. With any number of them a step takes the
// batch_size·grad_accum sequences that one process would take; rank r of N has the sequences r,
// r+N, r+2N, … of these.
namespace mythos {

// A rank's part of a step: grad_accum micro-batches of batch_size sequences. Ranks that divide
// grad_accum have whole micro-batches; else the rank's sequences lie in as few as train.batch_size
// allows. Fails (usage), naming the nearest batch size that would do, unless the ranks divide the
// sequences of a step.
struct RankShare {
  int64_t batch_size = 0, grad_accum = 0;
};
RankShare rank_share(const TrainConfig& config, int64_t ranks);

// This rank's numbers among those of a step's sequences.
template <class T>
std::vector<T> own_sequences(const std::vector<T>& all, const Ranks& ranks) {
  std::vector<T> own;
  for (size_t i = static_cast<size_t>(ranks.rank()); i < all.size();
       i += static_cast<size_t>(ranks.size())) {
    own.push_back(all[i]);
  }
  return own;
}

// What somebody asked of a run: a signal to one rank counts for all.
struct Wishes {
  bool save = false, stop = false, out_of_time = false;
};

// Sums a step's targets over ranks before it begins, and takes the ranks' wishes along.
void agree_on_step(Ranks& ranks, TargetCount& count, Wishes& wishes);

// Sums what a step found over ranks: nats, terms, depths and the experts' load.
void sum_over_ranks(Ranks& ranks, StepResult& step);

// Fails (usage) on every rank unless all go on with the run's checkpoints, or all begin it.
void require_equal_starts(Ranks& ranks, const fs::path& run, bool goes_on);

// Fails (usage) on every rank, with the first difference, unless all train with the same version,
// configuration, data, device and checkpoint.
void require_equal_runs(Ranks& ranks, const TrainSetup& setup, at::Device device,
                        at::ScalarType compute_type);

}  // namespace mythos
