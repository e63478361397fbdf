#include "arch/halting.h"

#include "arch/cache_layout.h"

namespace mythos {
namespace {

// The mean exit loop of a gate that exits with this probability after each of the loops from
// `first` on, and surely after the last.
double mean_exit(double probability, int64_t first, int64_t loops) {
  double mean = static_cast<double>(first), stays = 1;
  for (int64_t t = first; t < loops; ++t) {
    stays *= 1 - probability;
    mean += stays;
  }
  return mean;
}

}  // namespace

double initial_halt_probability(const ModelConfig& config) {
  const int64_t first = config.min_halt_loops;
  // Adaptive computation time adds probabilities up to its threshold; n loops do so with 1/n.
  if (mixes_states(config)) return 1 / (config.halt_loops - static_cast<double>(first) + 1);
  double low = 0, high = 1;  // the mean falls from max_loop_iters to min_halt_loops
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    const bool late = mean_exit(middle, first, config.max_loop_iters) > config.halt_loops;
    (late ? low : high) = middle;
  }
  return low;
}

HaltingMemory halting_memory(const ModelConfig& config, int64_t c) {
  if (!mixes_states(config)) return {};
  HaltingMemory memory = {.loop = 12 * kFloatBytes, .state = true, .gradients = 2};
  if (config.halting == Halting::act) {
    memory.keys = config.core_layers * Whole(CacheLayout(config, Section::core).numbers()) * c;
  }
  return memory;
}

}  // namespace mythos
