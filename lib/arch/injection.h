#pragma once
#include "arch/declaration.h"

namespace mythos {

// What brings the input e into every loop; model/recurrence.cc has the equations.
template <class T, class M>
struct InjectionTensors {
  T norm;                  // [D] lti: of h+e; linear: of the new state
  T log_A, log_dt, B;      // lti [D], [1], [D]
  T log_a, dt_bias, B_in;  // zoh [D], [D], [D,D]
  T weight;                // linear [D,2D] over [h|e]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const int64_t D = c.dim;
    if (c.injection == Injection::lti || c.injection == Injection::linear) {
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
    }
  }
};

}  // namespace mythos
