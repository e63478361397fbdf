#pragma once
#include "arch/declaration.h"
#include "arch/section.h"
#include "base/whole.h"

namespace mythos {

// A dense feed-forward of hidden width F: SwiGLU (Shazeer 2020), or ½ relu² without a gate
// (Parcae).
template <class T, class M>
struct DenseTensors {
  M gate_up;  // [2F,D] swiglu
  M up;       // [F,D] relu2
  M down;     // [D,F]

  template <class Self, class F>
  static void visit(Self& self, Activation activation, int64_t dim, int64_t hidden, F&& f) {
    if (activation == Activation::swiglu) {
      f(self.gate_up, {.name = "gate_up.weight",
                       .shape = {2 * hidden, dim},
                       .hidden = HiddenSide::rows,
                       .parts = {hidden, hidden}});
    } else {
      f(self.up, {.name = "up.weight",
                  .shape = {hidden, dim},
                  .hidden = HiddenSide::rows,
                  .parts = {hidden}});
    }
    f(self.down, {.name = "down.weight",
                  .shape = {dim, hidden},
                  .hidden = HiddenSide::columns,
                  .writes_residual = true});
  }
};

// A mixture of routed and shared experts (DeepSeekMoE, Dai et al. 2024). The router stays in fp32:
// a small product whose ties decide where a token goes.
template <class T, class M>
struct MixtureTensors {
  T router;                   // [E,D]
  T router_bias;              // [E], moved by the balance of loads alone (Wang et al. 2024)
  M gate_up;                  // [E,2F,D]
  M down;                     // [E,D,F]
  DenseTensors<T, M> shared;  // one SwiGLU as wide as all shared experts together

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    const int64_t D = c.dim, E = c.n_experts;
    const auto router = within(f, "", "router"), routed = within(f, "experts.", "routed experts");
    router(self.router, {"router.weight", {E, D}, Use::fp32_product});
    router(self.router_bias, {"router_bias", {E}, Use::buffer, Init::zeros});
    routed(self.gate_up, {.name = "gate_up",
                          .shape = {E, 2 * c.expert_dim, D},
                          .use = Use::experts,
                          .parts = {c.expert_dim, c.expert_dim}});
    routed(self.down, {.name = "down",
                       .shape = {E, D, c.expert_dim},
                       .use = Use::experts,
                       .writes_residual = true});
    if (c.n_shared_experts > 0) {
      DenseTensors<T, M>::visit(self.shared, Activation::swiglu, D, c.shared_ffn_dim(),
                                within(f, "shared.", "shared experts"));
    }
  }
};

// Bytes of one token that the feed-forward of a section's layers keeps for its backward pass, and
// what that pass holds beside them; `c` is the size of a number in the compute type.
Whole feed_forward_kept(const ModelConfig& config, Section section, int64_t c);
Whole feed_forward_work(const ModelConfig& config, Section section, int64_t c);
// Bytes that are kept beside them for rows that fill up the routed experts of a micro-batch.
Whole expert_padding(const ModelConfig& config, Whole tokens, int64_t c);

}  // namespace mythos
