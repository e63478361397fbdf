#pragma once
#include "arch/declaration.h"
#include "base/whole.h"

namespace mythos {

// What brings the input e into every loop; model/injection.h has the equations.
template <class T, class M>
struct InjectionTensors {
  T norm;                  // [D] lti: of h+e; linear: of the new state, if injection_norm
  T log_A, log_dt, B;      // lti [D], [1], [D]
  T log_a, dt_bias, B_in;  // zoh [D], [D], [D,D]
  T weight;                // linear [D,2D] over [h|e]
  T gate;                  // gated [D]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const int64_t D = c.dim;
    if (c.injection == Injection::lti || (c.injection == Injection::linear && c.injection_norm)) {
      f(self.norm, {"norm.weight", {D}, Use::vector, Init::ones});
    }
    if (c.injection == Injection::lti) {
      f(self.log_A, {"injection.log_A", {D}, Use::vector, Init::zeros});
      f(self.log_dt, {"injection.log_dt", {1}, Use::vector, Init::zeros});
      f(self.B, {"injection.B", {D}, Use::vector, Init::injection_gain});
    } else if (c.injection == Injection::zoh) {
      f(self.log_a, {"injection.log_a", {D}, Use::vector, Init::zeros});
      f(self.dt_bias, {"injection.dt_bias", {D}, Use::vector, Init::zeros});
      f(self.B_in, {"injection.B.weight", {D, D}, Use::exact_product, Init::identity_tail});
    } else if (c.injection == Injection::linear) {
      f(self.weight, {"injection.weight", {D, 2 * D}, Use::exact_product, Init::identity_tail});
    } else if (c.injection == Injection::gated) {
      f(self.gate, {"injection.gate", {D}, Use::vector, Init::zeros});
    }
  }
};

// What an injection keeps for its backward pass, in bytes of one token.
struct InjectionMemory {
  Whole loop = 0;              // in each loop: states, sums, mixes
  bool state_in_loop = false;  // the new state in fp32 is among them
  bool input_in_fp32 = false;  // e itself is kept
  bool input_gradient = true;  // a gradient of e is summed over the loops
  Whole drive = 0;             // once: what is made of e before the first loop
  Whole recomputed_drive = 0;  // beside that, where loops are recomputed
};
// `c` is the size of a number in the compute type.
InjectionMemory injection_memory(const ModelConfig& config, int64_t c);

}  // namespace mythos
