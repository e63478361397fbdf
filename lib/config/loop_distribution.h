#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/model_config.h"
#include "config/train_config.h"

namespace mythos {

struct Config;

// The number of loops of training steps, or of their sequences: a distribution over [min, max] with
// the given mean. lognormal-poisson has the mean before one is added and before the cut at max.
struct LoopDistribution {
  LoopSampling kind = LoopSampling::fixed;
  double mean = 1;
  int64_t min = 1, max = 1;
  double sigma = 0;                  // lognormal-poisson
  std::vector<int64_t> counts = {};  // set
  LoopsPer per = LoopsPer::step;
};
LoopDistribution loop_distribution(const TrainConfig& train, const ModelConfig& model);

// The distribution after the share 0 ≤ grown ≤ 1 of its growth from one loop: mean, min and max
// lie so far between 1 and what they will be. A set has its counts up to that max, at least its
// least one.
LoopDistribution grown_distribution(const LoopDistribution& whole, double grown);

// The counts of train.loop_set. Fails (usage) on what is no whole number of at least 1.
std::vector<int64_t> parse_loop_set(const std::string& text);

// The k last loops of a step through which gradients flow, 0 for all: train.backprop_loops, where
// -1 means half the mean, rounded up (Parcae, Prairie et al. 2026). It means all loops where no
// step has more, where validate() takes no other number (with halting, whose probabilities need the
// gradients of every loop, and without injection, where none would reach the input through the last
// ones), and with objectives.per_loop, which is to teach every loop.
int64_t backprop_loops(const Config& config);

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
