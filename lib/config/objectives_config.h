#pragma once
#include <cstdint>

#include "config/field.h"

namespace mythos {

// What training minimises: the table [objectives], a sum of terms. A key that bears a term's name
// is its weight, 0 where the term is absent; train/objectives.h states each term.
struct ObjectivesConfig {
  double next_token = 1;  // cross-entropy of the output
  double per_loop = 0;    // mean cross-entropy of the states after every loop
  double gate = 0;        // Σ p_t L_t − gate_entropy·H(p) (Ouro, first stage); halting = gate
  double gate_entropy = 0.05;
  double gate_gain = 0;  // the gate alone against the gain of a further loop (Ouro, second stage)
  double gate_gain_slope = 50;         // of the sigmoid of the gain
  double gate_gain_threshold = 0.005;  // gain in nats below which the gate is to stop
  double ponder = 0;  // PonderNet: Σ p_t L_t + ponder_kl·KL(p ‖ geometric prior)
  double ponder_kl = 0.01;
  double ponder_prior_loops = 0;  // mean of the prior; 0 means the model's halt_loops or half of T
  double ponder_cost = 0;         // expected number of loops (act; Graves 2016)
  double fixed_point = 0;         // ‖h_{T+1} − h_T‖² / ‖h_T‖² of the last loop
  double jacobian = 0;  // ‖J v‖² / ‖v‖² of the last loop, v random (arXiv 2605.26733)
  double balance = 0;   // sequence-wise balance of experts (DeepSeek-V3, eqs. 17 to 20)
  double router_z = 0;  // squared log-sum-exp of the router's scores (ST-MoE)

  template <class Self, class F>
  static void visit(Self& self, F&& f);
  void validate() const;
  bool operator==(const ObjectivesConfig&) const = default;
};

template <class Self, class F>
void ObjectivesConfig::visit(Self& self, F&& f) {
  f(Field{"next_token", "weight of the output's cross-entropy", 0, 1e6}, self.next_token);
  f(Field{"per_loop", "weight of the mean cross-entropy of every loop's state", 0, 1e6},
    self.per_loop);
  f(Field{"gate", "weight of the gate's expected cross-entropy less its entropy", 0, 1e6},
    self.gate);
  f(Field{"gate_entropy", "factor of the entropy in it", 0, 1e6}, self.gate_entropy);
  f(Field{"gate_gain", "weight of the gate's error about the gain of a further loop", 0, 1e6},
    self.gate_gain);
  f(Field{"gate_gain_slope", "slope of the sigmoid of that gain", 0, 1e6}, self.gate_gain_slope);
  f(Field{"gate_gain_threshold", "gain in nats below which the gate is to stop", -100, 100},
    self.gate_gain_threshold);
  f(Field{"ponder", "weight of PonderNet's expected cross-entropy and divergence", 0, 1e6},
    self.ponder);
  f(Field{"ponder_kl", "factor of the divergence from the geometric prior in it", 0, 1e6},
    self.ponder_kl);
  f(Field{"ponder_prior_loops", "mean loops of that prior; 0: halt_loops, or half of all", 0,
          1 << 20},
    self.ponder_prior_loops);
  f(Field{"ponder_cost", "weight of the expected loop count (act)", 0, 100}, self.ponder_cost);
  f(Field{"fixed_point", "weight of the last loop's relative change of the state", 0, 1e6},
    self.fixed_point);
  f(Field{"jacobian", "weight of the last loop's squared gain in a random direction", 0, 1e6},
    self.jacobian);
  f(Field{"balance", "weight of the balance of experts within sequences", 0, 1e6}, self.balance);
  f(Field{"router_z", "weight of the router's squared log-sum-exp", 0, 1e6}, self.router_z);
}

}  // namespace mythos
