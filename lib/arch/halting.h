#pragma once
#include "arch/attention.h"
#include "config/model_config.h"

namespace mythos {

// The probability of halting after a loop, σ(weight·h + bias).
template <class T, class M>
struct HaltingTensors {
  T weight;  // [1,D]
  T bias;    // [1]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    if (c.halting == Halting::none) return;
    const Init weight = c.halt_loops > 0 ? Init::zeros : Init::normal;
    f(self.weight, {"weight", {1, c.dim}, Use::fp32_product, weight});
    f(self.bias, {"bias", {1}, Use::vector, Init::halt_bias});
  }
};

// Whether the output is a mixture of the loops' states; the gate's is one loop's state.
inline bool mixes_states(const ModelConfig& c) {
  return c.halting == Halting::act || c.halting == Halting::act_reference;
}

// The probability of halting that, constant over all loops after the first min_halt_loops − 1,
// makes a model of max_loop_iters loops halt after halt_loops of them on average.
double initial_halt_probability(const ModelConfig& config);

// What halting adds to the memory of a backward pass, in bytes of one token.
struct HaltingMemory {
  Whole loop = 0;         // kept in each loop
  bool state = false;     // the state that is weighed is kept, once
  int64_t gradients = 0;  // states of which a gradient is held: of the state, of the output
  Whole keys = 0;         // of halted positions, which go from loop to loop
};
// `c` is the size of a number in the compute type.
HaltingMemory halting_memory(const ModelConfig& config, int64_t c);

}  // namespace mythos
