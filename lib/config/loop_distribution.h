#pragma once
#include <cstdint>

#include "config/model_config.h"
#include "config/train_config.h"

namespace mythos {

// The number of loops of training steps: a distribution over [min, max] with the given mean.
struct LoopDistribution {
  LoopSampling kind = LoopSampling::fixed;
  double mean = 1;
  int64_t min = 1, max = 1;
};
LoopDistribution loop_distribution(const TrainConfig& train, const ModelConfig& model);

// Warns, once in a process, of a number of loops at which the model was not trained.
class DepthWarning {
 public:
  // `trained` says that the [train] table is that of the training. For an imported model it is not,
  // and only model.max_loop_iters is known.
  DepthWarning(const TrainConfig& train, const ModelConfig& model, bool trained);

  void check(int64_t loops);
  // Checks the most loops that run, where tokens may stop earlier.
  void check_most(int64_t loops);

 private:
  void warn(int64_t loops);

  LoopDistribution loops_;
  bool trained_, warned_ = false;
};

}  // namespace mythos
