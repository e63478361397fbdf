#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/objective_terms.h"
#include "model/model.h"

// What training minimises: the sum of the terms of [objectives], each times its weight. A term is a
// mean over the positions that have targets, and these are (L_t the cross-entropy of the state
// after loop t, λ_t = σ(w·h_t + b) the gate's probability, p_t = λ_t Π_{s<t} (1−λ_s) that of
// leaving after loop t, the last loop taking the rest; λ_t = 0 before loop model.min_halt_loops):
//   next_token   the cross-entropy of the output
//   per_loop     the mean of L_t over all loops
//   gate         Σ p_t L_t − gate_entropy · H(p) (Ouro, arXiv 2510.25741, first stage)
//   gate_gain    the mean over t < T of the cross-entropy between 1−λ_t and the label
//                σ(slope · (max(0, L_t − L_{t+1}) − threshold)); its gradient reaches the gate
//                alone (second stage)
//   ponder       Σ p_t L_t + ponder_kl · KL(p ‖ q), q geometric, the last loop taking the rest
//                (PonderNet, arXiv 2107.05407)
//   ponder_cost  loops run plus remainder under adaptive computation time (Graves 2016, eq. 12);
//                Σ t p_t with a gate
//   fixed_point  ‖h_T − h_{T−1}‖² / ‖h_{T−1}‖², 0 where h_{T−1} is 0
//   jacobian     ‖Jv‖² / ‖v‖², J the Jacobian of the last loop's map at h_{T−1}, v random signs
//                times the state's size (arXiv 2605.26733). J v is a difference over a short step
//                in fp32, whose gradient is exact, as own operators have no second derivative
//   balance      Σ_i f_i P_i of each sequence (DeepSeek-V3, eqs. 17 to 20), f without gradient, the
//                mean over core layers and loops
//   router_z     (log Σ_i exp s_i)² of the router's scores (ST-MoE), the mean over those
// Loops without gradients (train.backprop_loops) count in the values all the same.
namespace mythos {

// The number of loops that a histogram of depth tells apart: the most that a step draws, 0 if the
// model does not halt. More loops count with the last.
int64_t depth_columns(const Config& config);

// The objective of a step's pieces, and its sums over positions that have targets. The sums lie on
// the device, which nothing waits for.
class Objectives {
 public:
  // `config` must outlive it; `targets` is the number of targets of the whole step.
  Objectives(const Config& config, int64_t targets, at::Device device);

  // What forward() must collect.
  CollectOptions collect() const;

  // The piece's share of the objective, [] fp32, times loss_scale [] where that is defined.
  // expected [B,S] int64, -1 where there is no target; `loops` is what the pass was asked for.
  Tensor add(const Weights& weights, const ForwardResult& result, const Tensor& expected,
             int64_t loops, const Tensor& loss_scale);

  const Tensor& nats() const { return nats_; }    // [] fp64, of the output
  const Tensor& terms() const { return terms_; }  // [n] fp64, of objective_terms()
  // [depth_columns] fp64: positions that halted after 1, 2, … loops; with a gate the sums of p_t.
  const Tensor& depth() const { return depth_; }
  // [1] fp64: the loops that were computed for these positions; [0] if the model does not halt.
  const Tensor& depth_run() const { return depth_run_; }

 private:
  struct Piece;
  Tensor output_share(const Piece& piece, const Tensor& loss_scale);
  Tensor value_of(std::string_view term, const Piece& piece) const;  // [] fp32, sum of positions
  void count_depth(const Piece& piece);

  const Config& config_;
  int64_t targets_;
  Tensor nats_, terms_, depth_, depth_run_;
};

}  // namespace mythos
