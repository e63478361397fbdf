#pragma once
#include <string>

#include "checkpoint/checkpoint.h"
#include "dist/ranks.h"
#include "train/expert_parallel.h"
#include "train/optimizer.h"
#include "train/sharding.h"

namespace mythos {

// What training changes, and checkpoints keep: weights and the optimizer's state, on one rank or on
// many.
struct TrainedState {
  Parameters& parameters;
  GroupedOptimizer& optimizer;
  Sharding& sharding;
  const ExpertParallel& experts;
  const Ranks& ranks;

  // Puts the tensors that this rank writes into a checkpoint: all of them where it saves alone.
  void put_into(CheckpointContent& content, bool alone) const;

  // Loads the optimizer's part of a checkpoint whose weights have been loaded, and with low-rank
  // updates the weights below them.
  void load_optimizer(TensorMap& stored, const std::string& origin) const;
  // Loads all of a checkpoint.
  void load(LoadedCheckpoint& loaded, const std::string& origin) const;
};

}  // namespace mythos
