#pragma once
#include "arch/declaration.h"

namespace mythos {

// The probability of halting after a loop, σ(weight·h + bias).
template <class T, class M>
struct HaltingTensors {
  T weight;  // [1,D]
  T bias;    // [1]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    if (c.halting == Halting::none) return;
    f(self.weight, {"weight", {1, c.dim}, Use::fp32_product});
    f(self.bias, {"bias", {1}, Use::vector, Init::halt_bias});
  }
};

}  // namespace mythos
