#pragma once
#include "model/verbs.h"

namespace mythos {

using InjectionWeights = InjectionTensors<at::Tensor, Matrix>;

// How the encoded input e enters a loop of the recurrence, h' = leave(h, core(enter(h))). All of an
// injection stands here and in arch/injection.h:
//   lti     x = norm(h + e + mark), h' = A⊙h + B⊙e + core(x)      (Parcae, Prairie et al. 2026)
//   zoh     x = A⊙h + gain⊙(B e) + mark, h' = core(x): the exact discretisation of a diagonal
//           system over a step, A = exp(-Δ a), gain = (1 - A) / a; with zoh_gain = euler, gain = Δ
//           (Parcae's published models)
//   linear  x = W [h + mark | e], h' = norm(core(x))              (Huginn, Geiping et al. 2025);
//           with injection_norm = false, h' = core(x)             (Huginn's published model)
//   gated   x = h + e + mark, h' = A⊙h + (1-A)⊙core(x), A = σ(gate)
//   add     x = h + e + mark, h' = core(x)
//   none    x = h + mark, h' = core(x)
// where mark is the loop embedding.
class InjectionRule {
 public:
  // What is computed once, before the loops: e first, then what each kind needs. All of it is
  // handed to every loop.
  static std::vector<Value> prepare(Verbs& v, const ModelConfig& config, const InjectionWeights& w,
                                    const Value& e);

  InjectionRule(Verbs& v, const ModelConfig& config, const InjectionWeights& w,
                std::vector<Value> prepared);
  // What the core's layers get, [B,S,D] in the compute type.
  Value enter(const Value& h) const;
  // The state after the loop, from the one before it and the core's result.
  Value leave(const Value& h, const Value& core) const;

 private:
  Verbs& v_;
  const ModelConfig& c_;
  const InjectionWeights& w_;
  std::vector<Value> prepared_;
};

// How the state decays in a loop without the core's contribution: h' = Ah, with a diagonal A or a
// full matrix. Nothing where an injection leaves the state alone.
struct Transition {
  at::Tensor diagonal;  // [D] fp32, strictly inside (0, 1)
  at::Tensor matrix;    // [D,D]
};
Transition transition(const ModelConfig& config, const InjectionWeights& w);

}  // namespace mythos
