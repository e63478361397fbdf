#include "train/objectives.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "arch/halting.h"
#include "arch/plan.h"
#include "base/error.h"
#include "config/loop_distribution.h"
#include "ops/loss/linear_cross_entropy.h"

// Shapes: B batch, S sequence, T loops, E experts, k experts of a token.
namespace mythos {
namespace {

double weight_of(const ObjectivesConfig& config, std::string_view name) {
  for (const ObjectiveTerm& term : all_objective_terms()) {
    if (term.name == name) return config.*term.weight;
  }
  fail(ErrorKind::internal, "no objective is called " + std::string(name));
}

Tensor scaled(const Tensor& x, const Tensor& loss_scale) {
  return loss_scale.defined() ? x * loss_scale : x;
}

// log p_t of leaving after loop t, for the loops from number `first` (from 0) on: logits [B,S,T] →
// [B,S,T−first].
Tensor log_exits(const Tensor& logits, int64_t first) {
  const Tensor open = logits.slice(-1, first, logits.size(-1) - 1);  // the last takes the rest
  const Tensor stay = at::log_sigmoid(-open);
  // cumsum() is not deterministic on CUDA devices.
  std::vector<Tensor> stayed = {at::zeros_like(logits.select(-1, 0).detach())};
  for (int64_t t = 0; t < open.size(-1); ++t) stayed.push_back(stayed.back() + stay.select(-1, t));
  return at::stack(stayed, -1) + at::constant_pad_nd(at::log_sigmoid(open), {0, 1});
}

// log q_t of n loops: a geometric distribution with this mean whose last loop takes the rest.
Tensor log_prior(double mean, int64_t n, const at::TensorOptions& options) {
  const double leave = std::clamp(1 / std::max(mean, 1e-6), 1e-6, 1 - 1e-6);
  const Tensor logits = at::full({1, 1, n}, std::log(leave / (1 - leave)), options);
  return log_exits(logits, 0);
}

// The mean over a sequence's counted positions of x [B,S,...], [B,...]; 0 where there are none.
Tensor sequence_mean(const Tensor& x, const Tensor& counted) {
  const Tensor one = counted.to(at::kFloat);
  const Tensor count = one.sum(1).clamp_min(1);  // [B]
  if (x.dim() == 2) return (x * one).sum(1) / count;
  return (x * one.unsqueeze(-1)).sum(1) / count.unsqueeze(-1);
}

// Σ_i f_i P_i of each sequence, [B].
Tensor balance_of(const Routes& routes, const Tensor& counted) {
  const int64_t B = counted.size(0), S = counted.size(1), E = routes.scores.size(-1);
  const int64_t k = routes.experts.size(-1);
  const Tensor shares = sequence_mean(routes.scores.softmax(-1).view({B, S, E}), counted);
  const Tensor chosen =
      at::zeros({B, S, E}, shares.options()).scatter_(-1, routes.experts.view({B, S, k}), 1.0);
  const Tensor load = sequence_mean(chosen, counted) * (static_cast<double>(E) / k);
  return (load * shares).sum(-1);
}

// The mean square of the log-sum-exp of each sequence's scores, [B].
Tensor squared_log_sums(const Routes& routes, const Tensor& counted) {
  return sequence_mean(routes.scores.logsumexp(-1).square().view(counted.sizes()), counted);
}

}  // namespace

int64_t depth_columns(const Config& config) {
  if (config.model.halting == Halting::none) return 0;
  return loop_distribution(config.train, config.model).max;
}

// A pass over some sequences.
struct Objectives::Piece {
  const Weights& weights;
  const ForwardResult& result;
  Tensor expected;    // [B,S]
  Tensor has_target;  // [B,S] bool
  int64_t loops;
  Tensor losses;  // [B,S,T] fp32, L_t; undefined if no term wants them
  int64_t first;  // loops that no position leaves, for the gate

  // The sum over positions that have targets of x [B,S].
  Tensor sum(const Tensor& x) const { return x.masked_fill(has_target.logical_not(), 0).sum(); }
  // The L_t of the loops that may be left, [B,S,T−first].
  Tensor open_losses() const { return losses.slice(-1, first); }
  // The sum over routes of f(routes, counted) [B], each sequence's times its number of targets, as
  // a mean over core layers and loops.
  template <class F>
  Tensor sum_routes(int64_t layers, const F& f) const {
    const Tensor count = has_target.sum(1).to(at::kFloat);  // [B]
    Tensor sum = at::zeros({}, count.options());
    for (const Routes& routes : result.routes) {
      const Tensor& counted = routes.counted.defined() ? routes.counted : has_target;
      sum = sum + (f(routes, counted) * count).sum();
    }
    return sum / static_cast<double>(layers * loops);
  }
};

Objectives::Objectives(const Config& config, int64_t targets, at::Device device)
    : config_(config), targets_(targets) {
  const auto options = at::TensorOptions().dtype(at::kDouble).device(device);
  nats_ = at::zeros({}, options);
  terms_ = at::zeros({static_cast<int64_t>(objective_terms(config.objectives).size())}, options);
  depth_ = at::zeros({depth_columns(config)}, options);
  depth_run_ = at::zeros({depth_.size(0) > 0 ? 1 : 0}, options);
}

CollectOptions Objectives::collect() const {
  const ObjectivesConfig& o = config_.objectives;
  CollectOptions collect;
  collect.outputs = wants_loop_outputs(o);
  collect.gate = config_.model.halting == Halting::gate;
  collect.last_loop = o.fixed_point > 0;
  collect.jacobian = o.jacobian > 0;
  collect.routes = o.balance > 0 || o.router_z > 0;
  return collect;
}

// The output's share of the objective, undefined if its weight is 0; adds its loss to nats_.
Tensor Objectives::output_share(const Piece& piece, const Tensor& loss_scale) {
  const double weight = config_.objectives.next_token;
  const auto targets = static_cast<double>(targets_);
  if (piece.losses.defined() && !mixes_states(config_.model)) {
    const Tensor loss = piece.losses.select(-1, piece.loops - 1).sum();
    nats_ = nats_ + loss.detach().to(at::kDouble);
    return weight > 0 ? scaled(loss * (weight / targets), loss_scale) : Tensor();
  }
  if (weight == 0) {
    const at::NoGradGuard no_grad;
    nats_ = nats_ + loss_sum(piece.weights, piece.result.hidden, piece.expected).to(at::kDouble);
    return {};
  }
  // The factors are there before gradients are rounded.
  const Tensor share =
      loss_sum(piece.weights, piece.result.hidden, piece.expected, weight / targets, loss_scale);
  const Tensor nats = share.detach().to(at::kDouble) * (targets / weight);
  nats_ = nats_ + (loss_scale.defined() ? nats / loss_scale : nats);
  return share;
}

Tensor Objectives::value_of(std::string_view term, const Piece& piece) const {
  const ObjectivesConfig& o = config_.objectives;
  const ForwardResult& result = piece.result;
  const int64_t first = piece.first, open = piece.loops - first;
  if (term == "per_loop") return piece.losses.sum() / static_cast<double>(piece.loops);
  if (term == "gate") {
    const Tensor log_p = log_exits(result.gate_logits, first);
    return piece.sum((log_p.exp() * (piece.open_losses() + o.gate_entropy * log_p)).sum(-1));
  }
  if (term == "gate_gain") {
    if (open < 2) return at::zeros({}, piece.losses.options().requires_grad(false));
    const Tensor losses = piece.open_losses().detach();
    const Tensor gain = losses.slice(-1, 0, open - 1) - losses.slice(-1, 1);
    const Tensor label =
        ((gain.clamp_min(0) - o.gate_gain_threshold) * o.gate_gain_slope).sigmoid();
    const Tensor logits = result.gate_logits_alone.slice(-1, first, piece.loops - 1);
    const Tensor error =
        -(label * at::log_sigmoid(-logits) + (1 - label) * at::log_sigmoid(logits));
    return piece.sum(error.mean(-1));
  }
  if (term == "ponder") {
    const double mean = o.ponder_prior_loops > 0       ? o.ponder_prior_loops
                        : config_.model.halt_loops > 0 ? config_.model.halt_loops
                                                       : static_cast<double>(piece.loops) / 2;
    const Tensor log_p = log_exits(result.gate_logits, first);
    const Tensor log_q =
        log_prior(mean - static_cast<double>(first), open, log_p.options().requires_grad(false));
    const Tensor cost = piece.open_losses() + o.ponder_kl * (log_p - log_q);
    return piece.sum((log_p.exp() * cost).sum(-1));
  }
  if (term == "ponder_cost") {
    if (result.ponder.defined()) return piece.sum(result.ponder);
    const Tensor log_p = log_exits(result.gate_logits, first);
    const Tensor number =
        at::arange(first + 1, piece.loops + 1, log_p.options().requires_grad(false));
    return piece.sum((log_p.exp() * number).sum(-1));
  }
  if (term == "fixed_point") {
    const Tensor& before = result.last_before;
    const Tensor size = before.square().sum(-1), none = size.eq(0);
    const Tensor change = (result.last_after - before).square().sum(-1);
    return piece.sum((change / size.masked_fill(none, 1)).masked_fill(none, 0));
  }
  if (term == "jacobian") return piece.sum(result.jacobian);
  const int64_t layers = config_.model.core_layers;
  if (term == "balance") return piece.sum_routes(layers, balance_of);
  return piece.sum_routes(layers, squared_log_sums);
}

void Objectives::count_depth(const Piece& piece) {
  const at::NoGradGuard no_grad;
  const int64_t columns = depth_.size(0);
  const Tensor counted = piece.has_target.to(at::kDouble);
  const auto index = depth_.options().dtype(at::kLong);
  depth_run_ = depth_run_ + counted.sum() * static_cast<double>(piece.loops);
  if (piece.result.gate_logits.defined()) {
    const Tensor p = log_exits(piece.result.gate_logits, piece.first).exp().to(at::kDouble);
    const Tensor loops = at::arange(piece.first, piece.loops, index).clamp_max(columns - 1);
    depth_ = depth_.index_add(0, loops, (p * counted.unsqueeze(-1)).flatten(0, 1).sum(0));
  } else if (piece.result.halt_weights.defined()) {
    // Weights are positive up to the loop in which a position halted.
    const Tensor weighed = piece.result.halt_weights.gt(0);
    const Tensor last = (weighed * at::arange(piece.loops, index)).amax(-1).clamp_max(columns - 1);
    depth_ = depth_.index_add(0, last.flatten(), counted.flatten());
  }
}

Tensor Objectives::add(const Weights& weights, const ForwardResult& result, const Tensor& expected,
                       int64_t loops, const Tensor& loss_scale) {
  Piece piece{weights, result, expected, expected.ge(0), loops, {}, 0};
  piece.first = std::min(config_.model.min_halt_loops, loops) - 1;
  if (!result.loop_hidden.empty()) {
    std::vector<Tensor> losses;
    for (const Tensor& hidden : result.loop_hidden) {
      losses.push_back(linear_cross_entropy_each(hidden.flatten(0, 1), weights.head.values,
                                                 expected.flatten(), weights.logit_softcap)
                           .view_as(expected));
    }
    piece.losses = at::stack(losses, -1);
  }
  if (depth_.size(0) > 0) count_depth(piece);
  const Tensor nats_before = nats_;
  Tensor objective = output_share(piece, loss_scale);
  std::vector<Tensor> values;
  for (const std::string& name : objective_terms(config_.objectives)) {
    if (name == "next_token") {
      values.push_back(nats_ - nats_before);
      continue;
    }
    const Tensor value = value_of(name, piece);
    const double factor = weight_of(config_.objectives, name) / static_cast<double>(targets_);
    const Tensor share = scaled(value * factor, loss_scale);
    objective = objective.defined() ? objective + share : share;
    values.push_back(value.detach().to(at::kDouble));
  }
  if (!values.empty()) terms_ = terms_ + at::stack(values);
  return objective;
}

}  // namespace mythos
