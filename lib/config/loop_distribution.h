#pragma once
#include <cstdint>

#include "config/model_config.h"
#include "config/train_config.h"

namespace mythos {

// How many loops training steps run: a distribution over [min, max] with the given mean.
struct LoopDistribution {
  LoopSampling kind = LoopSampling::fixed;
  double mean = 1;
  int64_t min = 1, max = 1;
};
LoopDistribution loop_distribution(const TrainConfig& train, const ModelConfig& model);

// Warns of a number of loops at which the model was not trained, once for a process.
class DepthWarning {
 public:
  // `trained`: the [train] table is that of the training. Of an imported model it is not, and
  // model.max_loop_iters is all that is known.
  DepthWarning(const TrainConfig& train, const ModelConfig& model, bool trained);

  void check(int64_t loops);
  // At most so many: tokens may stop earlier.
  void check_most(int64_t loops);

 private:
  void warn(int64_t loops);

  LoopDistribution loops_;
  bool trained_, warned_ = false;
};

}  // namespace mythos
