#include "model/tensor_verbs.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"
#include "model/exit_criteria.h"
#include "model/initial_state.h"
#include "model/recompute.h"
#include "ops/attention/attention.h"
#include "ops/attention/rope.h"
#include "ops/autograd.h"
#include "ops/embed/embed.h"
#include "ops/inject/inject.h"
#include "ops/linear/linear.h"
#include "ops/loss/cross_entropy.h"
#include "ops/moe/moe.h"
#include "ops/norm/rms_norm.h"
#include "ops/swiglu/swiglu.h"

namespace mythos {
namespace {

// Up to this many new tokens, cached latent attention works in the latent space; more tokens repay
// the expansion of the cache to keys and values.
constexpr int64_t kAbsorbedTokens = 16;

// The positions of x [B,S,...] with these indices among the B·S, [1,N,...].
Tensor select_rows(const Tensor& x, const Tensor& index) {
  return x.flatten(0, 1).index_select(0, index).unsqueeze(0);
}

// The rows of a table [V,K] by ids [...], [...,K] in `type`.
Tensor table_rows(const Matrix& table, const Tensor& ids, at::ScalarType type) {
  if (table.is_plain()) return embed(table.values, ids).to(type);
  Matrix rows = table;
  rows.values = table.values.index_select(0, ids.flatten());
  rows.scales = table.scales.index_select(0, ids.flatten());
  return rows.dense(type);
}

// The last position of x [B,S,...], [B,1,...].
Tensor last_row(const Tensor& x) {
  return x.narrow(1, x.size(1) - 1, 1);
}

// Changes the positions with these indices of `all` [B,S,...] to `rows` [1,N,...].
void put_rows(const Tensor& all, const Tensor& index, const Tensor& rows) {
  std::vector<int64_t> shape = all.sizes().vec();
  shape.erase(shape.begin());
  shape[0] = -1;
  all.view(shape).index_copy_(0, index, rows.squeeze(0));
}

// Whether other processes wait for what every loop sends them.
bool needs_every_loop(const ForwardOptions& options) {
  return options.experts && options.experts->needs_every_loop();
}

}  // namespace

Tensor loop_embeddings(const ModelConfig& config, int64_t loops, at::Device device) {
  const int64_t channels = config.loop_channels();
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  const Tensor exponent = at::arange(0, channels, 2, options) / static_cast<double>(channels);
  const Tensor angle = at::outer(at::arange(loops, options), 1.0 / at::pow(10000.0, exponent));
  const Tensor waves = at::cat({at::sin(angle), at::cos(angle)}, 1).narrow(1, 0, channels);
  return at::constant_pad_nd(waves, {0, config.dim - channels});
}

TensorVerbs::TensorVerbs(const ModelConfig& config, at::ScalarType compute_type, const Tensor& ids,
                         const ForwardOptions& options, ForwardResult& result)
    : c_(config),
      options_(options),
      result_(&result),
      compute_type_(compute_type),
      ids_(ids),
      cache_(options.cache),
      loops_(options.loops > 0 ? options.loops : config.max_loop_iters),
      mixes_(mixes_states(config)),
      freezes_(config.halting == Halting::act || options.exit.rule != ExitRule::none),
      skips_(freezes_ && options.skip_halted && !needs_every_loop(options) &&
             !at::GradMode::is_enabled()),
      halting_(config, loops_) {
  if (cache_ && cache_->loops() < loops_) {
    fail(ErrorKind::internal,
         strprintf("a cache made for %d loops is used with %d", cache_->loops(), loops_));
  }
  if (cache_ && options.document_begins.defined()) {
    fail(ErrorKind::internal, "forward: document_begins cannot be used with a cache");
  }
  const int64_t past = cache_ ? cache_->length() : 0;
  std::tie(all_cos_, all_sin_) =
      rope_table(past, ids.size(1), config.rope_dim(), config.rope_theta, ids.device());
  run_all();
  if (config.loop_embedding == LoopEmbedding::sinusoid) {
    loop_embeddings_ = loop_embeddings(config, loops_, ids.device());
  }
  if (freezes_) {
    loops_run_ = at::zeros(ids.sizes(), ids.options());
    const bool coda = compares_outputs(options.exit.rule);
    kept_.resize(static_cast<size_t>(config.core_layers + (coda ? config.coda_layers : 0)));
  }
  if (options.count_experts && config.ffn == FeedForward::moe) {
    const auto counts = at::TensorOptions().dtype(at::kFloat).device(ids.device());
    for (int64_t layer = 0; layer < config.core_layers; ++layer) {
      result.expert_load.push_back(at::zeros({config.n_experts}, counts));
      if (!options.count_repeats || skips_) continue;
      result.expert_repeats.push_back(at::zeros({loops_ - 1}, counts));
      chosen_.emplace_back();
    }
  }
}

Value TensorVerbs::embed(const Tensor& table) {
  if (options_.inputs.defined()) return options_.inputs;
  return scaled_embedding(c_, mythos::embed(table, ids_).to(compute_type_));
}

Value TensorVerbs::add_embedding(const Value& x, const Value& gate, const Matrix& table) {
  const Tensor ids =
      running_.index.defined() ? select_rows(ids_.unsqueeze(-1), running_.index).squeeze(-1) : ids_;
  const Tensor rows = table_rows(table, ids, x.tensor.scalar_type()).view_as(x.tensor);
  const Tensor factor = (2 * gate.tensor.sigmoid()).to(x.tensor.scalar_type()).unsqueeze(-1);
  return at::addcmul(x.tensor, rows, factor);
}

Value TensorVerbs::product(const Value& x, const Matrix& w) {
  return apply_linear(x.tensor, w);
}

Value TensorVerbs::gated_product(const Value& x, const Matrix& gate_up) {
  return swiglu(apply_linear(x.tensor, gate_up));
}

Value TensorVerbs::relu2_product(const Value& x, const Matrix& up) {
  return apply_linear(x.tensor, up).relu().square().mul(0.5);
}

Value TensorVerbs::softcap(const Value& x, double bound) {
  return softcapped(x.tensor, bound);
}

Value TensorVerbs::add_low_rank(const Value& x, const Tensor& down, const Value& scale,
                                const Tensor& up) {
  const Tensor factor = scale.tensor.to(x.tensor.scalar_type());
  return x.tensor + apply_linear(apply_linear(x.tensor, down) * factor, up.t());
}

Value TensorVerbs::norm(const Value& x, const Tensor& weight, Precision precision) {
  return rms_norm(x.tensor, weight, c_.norm_eps,
                  precision == Precision::state ? at::kFloat : x.tensor.scalar_type());
}

std::pair<Value, Value> TensorVerbs::add_norm(const Value& x, const Value& y, const Value& shift,
                                              const Tensor& weight) {
  const auto [sum, normed] =
      add_rms_norm(x.tensor, y.tensor, shift.tensor, weight, c_.norm_eps, compute_type_);
  return {sum, normed};
}

Value TensorVerbs::add(const Value& x, const Value& y) {
  return x.tensor + y.tensor;
}

Value TensorVerbs::add_bias(const Value& x, const Tensor& bias) {
  return x.tensor + bias.to(x.tensor.scalar_type());
}

Value TensorVerbs::sum(const std::vector<Term>& terms) {
  const auto scaled = [&](size_t i) { return terms[i].scale.defined(); };
  if (terms.size() == 3 && scaled(0) && scaled(1) && !scaled(2)) {
    return inject(terms[0].value.tensor, terms[1].value.tensor, terms[2].value.tensor,
                  terms[0].scale.tensor, terms[1].scale.tensor);
  }
  Tensor sum;
  for (const Term& term : terms) {
    if (!term.value.defined()) continue;
    const Tensor x = term.value.tensor.to(at::kFloat);
    if (!term.scale.defined()) {
      sum = sum.defined() ? sum + x : x;
    } else {
      sum = sum.defined() ? at::addcmul(sum, x, term.scale.tensor) : x * term.scale.tensor;
    }
  }
  return sum;
}

Value TensorVerbs::concat(const Value& x, const Value& y) {
  return at::cat({x.tensor, y.tensor}, -1);
}

std::vector<Value> TensorVerbs::split(const Value& x, const std::vector<int64_t>& widths) {
  const auto parts = x.tensor.split_with_sizes(widths, -1);
  return {parts.begin(), parts.end()};
}

Value TensorVerbs::narrow(const Value& x) {
  return x.tensor.to(compute_type_);
}

Value TensorVerbs::wide(const Value& x) {
  return x.tensor.to(at::kFloat);
}

Value TensorVerbs::zeros_like(const Value& x) {
  return at::zeros_like(x.tensor);
}

Value TensorVerbs::random_like(const Value& x) {
  const int64_t past = cache_ ? cache_->length() : 0;
  const Tensor seeds =
      options_.state_seeds.defined()
          ? options_.state_seeds
          : at::full({x.tensor.size(0)}, options_.state_seed, x.tensor.options().dtype(at::kInt));
  Tensor positions = at::arange(past, past + x.tensor.size(1), seeds.options());
  if (options_.document_begins.defined()) positions = positions - options_.document_begins;
  return initial_states(seeds, positions, c_.dim, c_.state_std * options_.state_scale);
}

Value TensorVerbs::heads(const Value& x, int64_t count) {
  return x.tensor.unflatten(-1, {count, x.tensor.size(-1) / count});
}

Value TensorVerbs::norm_heads(const Value& x, const Tensor& weight, double eps) {
  const auto fp32 = x.tensor.options().dtype(at::kFloat).requires_grad(false);
  return rms_norm(x.tensor, weight.defined() ? weight : at::ones({x.tensor.size(-1)}, fp32), eps);
}

Value TensorVerbs::rope(const Value& x) {
  // If x has fewer positions than the loop, they are the loop's last ones.
  const int64_t count = x.tensor.size(1), first = cos_.size(0) - count;
  return mythos::rope(x.tensor, cos_.narrow(0, first, count), sin_.narrow(0, first, count),
                      c_.rope_pairing);
}

TensorVerbs::KeptKeys* TensorVerbs::kept_keys(const LayerId& layer) {
  if (layer.section == Section::prelude) return nullptr;
  const int64_t first = layer.section == Section::core ? 0 : c_.core_layers;
  const auto at = static_cast<size_t>(first + layer.index);
  return at < kept_.size() ? &kept_[at] : nullptr;
}

Tensor TensorVerbs::keep(Tensor& kept, const Tensor& fresh) const {
  if (running_.index.defined()) {
    put_rows(kept, running_.index, fresh);
  } else if (running_.mask.defined()) {
    std::vector<int64_t> shape(static_cast<size_t>(fresh.dim()), 1);
    shape[0] = fresh.size(0), shape[1] = fresh.size(1);
    kept = at::where(running_.mask.view(shape), fresh, kept);
  } else {
    kept = fresh;
  }
  return kept;
}

std::pair<Tensor, Tensor> TensorVerbs::append(const LayerId& layer, const Tensor& a,
                                              const Tensor& b) {
  return cache_->append({layer.section, layer.index, loop_}, a, b, running_.mask);
}

Tensor TensorVerbs::attend(const Tensor& q, const Tensor& k, const Tensor& v) const {
  return running_.index.defined() ? attention_of_rows(q, k, v, running_.rows, document_begins_)
                                  : causal_attention(q, k, v, document_begins_);
}

Value TensorVerbs::attend_grouped(const Value& q, const Value& key, const Value& value,
                                  const LayerId& layer) {
  Tensor k = key.tensor, v = value.tensor;
  if (KeptKeys* kept = kept_keys(layer)) {
    k = keep(kept->a, k);
    v = keep(kept->b, v);
  }
  if (cache_) std::tie(k, v) = append(layer, k, v);
  return attend(q.tensor, k, v).flatten(2);
}

// Scores and values in the latent space: kv_up is folded into query and output, so the cache is
// never expanded (DeepSeek-V2, section 2.1.2). q [B,S,H,nope+rope], cached [B,P,rank+rope] →
// [B,S,H·v].
Tensor TensorVerbs::attend_absorbed(const Tensor& q, const Tensor& cached,
                                    const Tensor& kv_up) const {
  const int64_t H = c_.n_heads, rank = c_.kv_lora_rank, nope = c_.qk_nope_head_dim;
  const Tensor up = kv_up.view({H, nope + c_.v_head_dim, rank});
  const Tensor heads = q.transpose(1, 2);  // [B,H,S,·]
  const Tensor latent = at::matmul(heads.narrow(3, 0, nope), up.narrow(1, 0, nope));
  const Tensor query = at::cat({latent, heads.narrow(3, nope, c_.qk_rope_head_dim)}, 3);
  const double scale = 1 / std::sqrt(static_cast<double>(c_.qk_head_dim()));
  const Tensor values =  // [B,H,S,rank]
      latent_attention(query, cached, rank, scale, running_.rows.position);
  const Tensor out = at::matmul(values, up.narrow(1, nope, c_.v_head_dim).transpose(1, 2));
  return out.transpose(1, 2).flatten(2);
}

Value TensorVerbs::attend_latent(const Value& query, const Value& latent, const Value& key,
                                 const Tensor& kv_up, const LayerId& layer) {
  const int64_t H = c_.n_heads, nope = c_.qk_nope_head_dim, rope_dim = c_.qk_rope_head_dim;
  const Tensor& q = query.tensor;
  Tensor kv_latent = latent.tensor.squeeze(2), rotated = key.tensor;  // [B,S,rank], [B,S,1,rope]
  KeptKeys* kept = kept_keys(layer);
  if (cache_) {
    Tensor fresh = at::cat({kv_latent, rotated.squeeze(2)}, -1);
    if (kept) fresh = keep(kept->a, fresh);
    const Tensor cached = append(layer, fresh, {}).first;
    const bool one_sequence = !running_.index.defined() || cached.size(0) == 1;
    if (q.size(1) <= kAbsorbedTokens && one_sequence) return attend_absorbed(q, cached, kv_up);
    kv_latent = cached.narrow(2, 0, c_.kv_lora_rank);
    rotated = cached.narrow(2, c_.kv_lora_rank, rope_dim).unsqueeze(2);
  } else if (kept && !skips_) {
    kv_latent = keep(kept->a, kv_latent);
    rotated = keep(kept->b, rotated);
  }
  const auto kv = apply_linear(kv_latent, kv_up)
                      .unflatten(-1, {H, nope + c_.v_head_dim})
                      .split_with_sizes({nope, c_.v_head_dim}, -1);
  Tensor k = at::cat({kv[0], rotated.expand({-1, -1, H, -1})}, -1), v = kv[1];
  if (kept && skips_ && !cache_) {
    k = keep(kept->a, k);
    v = keep(kept->b, v);
  }
  return attend(q, k, v).flatten(2);
}

Routing TensorVerbs::route(const Value& scores, const Tensor& bias, const LayerId& layer) {
  const Tensor logits = scores.tensor.flatten(0, 1);  // [N,E]
  Routing routing;
  routing.experts = std::get<1>(at::topk(logits.detach() + bias, c_.n_experts_per_tok, -1));
  const Tensor chosen = logits.softmax(-1).gather(1, routing.experts);
  routing.weights = chosen / chosen.sum(-1, true);
  if (result_ && options_.collect.routes) {
    result_->routes.push_back({logits, routing.experts, counted_});
  }
  if (result_ && !result_->expert_load.empty()) {
    Tensor load = result_->expert_load[static_cast<size_t>(layer.index)];
    const Tensor one = counted_.defined() ? counted_.flatten().to(load.scalar_type()).unsqueeze(1)
                                          : at::ones({1, 1}, load.options());
    load.scatter_add_(0, routing.experts.flatten(), one.expand(routing.experts.sizes()).flatten());
    if (!chosen_.empty()) count_repeats(routing.experts, one, layer);
  }
  return routing;
}

// `counted` [N,1] or [1,1] fp32: 1 for the positions that count.
void TensorVerbs::count_repeats(const Tensor& experts, const Tensor& counted,
                                const LayerId& layer) {
  Tensor& before = chosen_[static_cast<size_t>(layer.index)];
  if (loop_ > 0) {
    const Tensor again = experts.unsqueeze(2).eq(before.unsqueeze(1)).any(2);
    result_->expert_repeats[static_cast<size_t>(layer.index)][loop_ - 1] = (again * counted).sum();
  }
  before = experts;
}

Value TensorVerbs::experts(const Value& x, const Routing& routing, const Matrix& gate_up,
                           const Matrix& down, const Value& onto) {
  const Tensor rows = x.tensor.flatten(0, 1);  // [N,D]
  const Tensor out =
      options_.experts
          ? options_.experts->mixture(rows, routing.experts, routing.weights, gate_up, down)
          : moe_swiglu(rows, routing.experts, routing.weights, gate_up, down);
  return onto.defined() ? out.view_as(x.tensor) + onto.tensor : out.view_as(x.tensor);
}

Value TensorVerbs::loop_embedding() {
  return loop_embeddings_.defined() ? loop_embeddings_[loop_] : Tensor();
}

Value TensorVerbs::at_loop(const Tensor& table) {
  return table[std::min(loop_, table.size(0) - 1)];
}

void TensorVerbs::run_all() {
  running_ = {};
  cos_ = all_cos_, sin_ = all_sin_;
  document_begins_ = options_.document_begins;
  counted_ = options_.counted;
}

void TensorVerbs::select_running(const Tensor& running) {
  run_all();
  counted_ = counted_.defined() ? counted_.logical_and(running) : running;
  if (!freezes_) return;  // the others are computed all the same, and not counted
  const Tensor index = skips_ ? running.flatten().nonzero().squeeze(1) : Tensor();
  if (skips_ && index.numel() == running.numel()) return;
  running_.mask = running;
  if (!skips_) return;
  running_.index = index;
  const Tensor position = index.remainder(running.size(1));
  cos_ = all_cos_.index_select(0, position);
  sin_ = all_sin_.index_select(0, position);
  if (document_begins_.defined()) {
    document_begins_ = document_begins_.flatten().index_select(0, index);
  }
  counted_ = counted_.flatten().index_select(0, index).unsqueeze(0);
  const int64_t past = cache_ ? cache_->length() : 0;
  running_.rows.position = (position + past).to(at::kInt);
  const Tensor ends = running.sum(1).cumsum(0).to(at::kCPU);  // [B] int64
  running_.rows.begins = {0};
  running_.rows.begins.insert(running_.rows.begins.end(), ends.data_ptr<int64_t>(),
                              ends.data_ptr<int64_t>() + ends.numel());
}

Tensor TensorVerbs::not_stopped() const {
  if (loop_ == 0) return {};
  const bool by_head = c_.halting == Halting::act || options_.exit.rule == ExitRule::halting;
  const Tensor runs = mixes_ && (by_head || !freezes_) ? halting_.running() : Tensor();
  if (!stopped_.defined()) return runs;
  return runs.defined() ? runs.logical_and(stopped_.logical_not()) : stopped_.logical_not();
}

bool TensorVerbs::begin_loop() {
  stopping_ = Tensor();
  const Tensor runs = not_stopped();
  if (runs.defined()) {
    // Positions that go on changing owe the cache every loop's keys; on a device asking costs more
    // than a few loops. Processes that share experts run equally many.
    const bool may_stop = (skips_ || ((freezes_ || !cache_) && ids_.is_cpu())) &&
                          !options_.collect.all_loops() && !needs_every_loop(options_);
    if (may_stop && !runs.any().item<bool>()) return false;
    select_running(runs);
  }
  if (freezes_) loops_run_ = runs.defined() ? loops_run_ + runs : loops_run_ + 1;
  return true;
}

void TensorVerbs::fill_cache(int64_t first_loop) {
  if (!cache_) return;
  running_.mask = at::zeros(ids_.sizes(), ids_.options().dtype(at::kBool));
  for (loop_ = first_loop; loop_ < loops_; ++loop_) {
    for (int64_t layer = 0; layer < c_.core_layers; ++layer) {
      const KeptKeys& kept = kept_[static_cast<size_t>(layer)];
      append({Section::core, layer}, kept.a, kept.b);
    }
  }
}

Value TensorVerbs::repeat(Value h, const std::function<Value(const Value&)>& body) {
  if (options_.initial_state.defined()) h = options_.initial_state;
  for (loop_ = 0; loop_ < loops_; ++loop_) {
    if (!begin_loop()) {
      if (freezes_) fill_cache(loop_);
      break;
    }
    const Value before = h;
    {
      const bool records = options_.grad_loops == 0 || loops_ - loop_ <= options_.grad_loops;
      const at::AutoGradMode mode(records && at::GradMode::is_enabled());
      h = body(before);
    }
    if (options_.observer) options_.observer(loop_, before.tensor.detach(), h.tensor.detach());
    if (stopping_.defined()) {
      stopped_ = stopped_.defined() ? stopped_.logical_or(stopping_) : stopping_;
    }
  }
  loop_ = 0;
  kept_.clear();
  run_all();
  if (freezes_) result_->loops_run = loops_run_;
  if (mixes_) {
    result_->halt_weights = halting_.weights();
    result_->ponder = halting_.ponder();
  }
  return h;
}

Value TensorVerbs::running(const Value& x) {
  const bool of_positions = x.tensor.dim() == 3;
  return running_.index.defined() && of_positions ? select_rows(x.tensor, running_.index) : x;
}

Value TensorVerbs::merge(const Value& all, const Value& some) {
  if (running_.index.defined()) {
    const bool seen = options_.observer != nullptr;  // what it was given must not change
    const Tensor merged = seen ? all.tensor.clone() : all.tensor;
    put_rows(merged, running_.index, some.tensor);
    return merged;
  }
  if (!running_.mask.defined()) return some;
  return at::where(running_.mask.unsqueeze(-1), some.tensor, all.tensor);
}

Tensor TensorVerbs::of_all(const Tensor& mask) const {
  if (!running_.index.defined()) return mask;
  const Tensor all = at::zeros(ids_.sizes(), mask.options());
  put_rows(all, running_.index, mask);
  return all;
}

void TensorVerbs::stop(const Tensor& mask) {
  stopping_ = stopping_.defined() ? stopping_.logical_or(mask) : mask;
}

void TensorVerbs::stop_settled(const Value& before, const Value& after, const Exit& exit) {
  const Tensor value = state_criterion(exit.rule, before.tensor, after.tensor);
  stop(of_all(meets(exit.rule, value, exit.threshold)));
}

void TensorVerbs::stop_agreed(const Value& logits, const Exit& exit) {
  const Tensor p = logits.tensor.to(at::kFloat);
  const bool first = !agreed_.defined();
  if (first) {
    criterion_ = output_criterion(exit.rule, {}, p, {});
    agreed_ = p;
    if (exit.rule != ExitRule::kl) stop(of_all(meets(exit.rule, criterion_, exit.threshold)));
    return;
  }
  const Tensor values = criterion_.unsqueeze(-1);  // [B,S,1]
  const bool some = running_.index.defined();
  const Tensor last = some ? select_rows(values, running_.index) : values;
  const Tensor before = some ? select_rows(agreed_, running_.index) : agreed_;
  const Tensor value = output_criterion(exit.rule, before, p, last.squeeze(-1));
  stop(of_all(meets(exit.rule, value, exit.threshold)));
  criterion_ = merge(values, value.unsqueeze(-1)).tensor.squeeze(-1);
  agreed_ = merge(agreed_, p).tensor;
}

void TensorVerbs::leave_state(const Value& h, const Tensor& norm) {
  if (!options_.keep_state || !result_) return;
  result_->last_state =
      norm.defined() ? rms_norm(h.tensor, norm, c_.norm_eps, at::kFloat) : h.tensor;
}

void TensorVerbs::halt(const Value& h, const HaltingWeights& w) {
  const Tensor& index = running_.index;
  const Tensor stop = !stopping_.defined() ? Tensor()
                      : index.defined()    ? select_rows(stopping_.unsqueeze(-1), index).squeeze(-1)
                                           : stopping_;
  halting_.add(h.tensor, w, index, stop);
}

Value TensorVerbs::output_if_stopped(const Value& h, const HaltingWeights& w) {
  return halting_.output_if_stopped(h.tensor, w, running_.index);
}

void TensorVerbs::gate(const Value& h, const HaltingWeights& w) {
  const auto logits_of = [&](const Tensor& x) {
    return at::linear(x, w.weight, w.bias).squeeze(-1);
  };
  const auto add = [](Tensor& all, const Tensor& logits) {
    const Tensor one = logits.unsqueeze(-1);
    all = all.defined() ? at::cat({all, one}, -1) : one;
  };
  if (options_.collect.gate && result_) {
    add(result_->gate_logits, logits_of(h.tensor));
    add(result_->gate_logits_alone, logits_of(h.tensor.detach()));
  }
  const bool by_quantile = options_.exit.rule == ExitRule::gate;
  const double threshold = by_quantile ? options_.exit.threshold : c_.act_threshold;
  if (!by_quantile && options_.exit.rule != ExitRule::halting) return;
  // A quantile of 1 means all loops, though the sum may be rounded to 1 before.
  if (loop_ + 1 < c_.min_halt_loops || (by_quantile && threshold >= 1)) return;
  // P(exit by now) = 1 − Π (1 − λ), with log(1 − σ(z)) = log σ(−z).
  const Tensor stay = of_all(at::log_sigmoid(-logits_of(h.tensor)));
  log_stay_ = log_stay_.defined() ? log_stay_ + stay : stay;
  stop((1 - log_stay_.exp()).ge(threshold));
}

bool TensorVerbs::wants_output() const {
  // The last loop's output is that of the pass, unless that is a mixture.
  return options_.collect.outputs && result_ && (mixes_ || loop_ + 1 < loops_);
}

void TensorVerbs::take_output(const Value& output) {
  result_->loop_hidden.push_back(output.tensor);
}

void TensorVerbs::examine(const Value& before, const Value& after, const Map& map) {
  const CollectOptions& collect = options_.collect;
  if (loop_ + 1 < loops_ || !result_) return;
  if (collect.last_loop) {
    result_->last_before = before.tensor;
    result_->last_after = after.tensor;
  }
  if (!collect.jacobian) return;
  const Tensor h = before.tensor;
  // Own operators have no second derivative, so that J v is a difference; its gradient is exact.
  const Tensor moved = h + probe_direction(h.detach());
  TensorVerbs copy = *this;
  copy.result_ = nullptr;
  const Tensor size = (moved - h).detach().square().sum(-1);
  const Tensor difference = map(copy, Value(moved)).tensor - after.tensor;
  result_->jacobian = difference.square().sum(-1) / size;
}

Tensor TensorVerbs::probe_direction(const Tensor& h) const {
  // Differences of narrow types resolve less.
  const double step = compute_type_ == at::kFloat ? 1e-2 : 1e-1;
  const Tensor none = at::zeros({h.size(0)}, h.options().dtype(at::kInt));
  const Tensor seeds = options_.state_seeds.defined() ? options_.state_seeds : none;
  // Another stream than that of the first states.
  const Tensor positions = at::arange(h.size(1), none.options());
  const Tensor v = initial_states(seeds.bitwise_xor(0x5bd1e995), positions, c_.dim, 1).sign();
  const Tensor size = h.square().mean(-1, true).sqrt().clamp_min(1e-3);  // [B,S,1]
  return v * (step * size);
}

Value TensorVerbs::wanted(const Value& x) {
  return last_query_ ? last_row(x.tensor) : x.tensor;
}

void TensorVerbs::begin_block(const LayerId& block) {
  if (options_.blocks) options_.blocks->begin_forward(block);
}

// Nodes run in the reverse order of their making: that of the block's end before all within it.
Value TensorVerbs::end_block(const LayerId& block, const Value& x) {
  BlockWatch* const blocks = options_.blocks;
  if (!blocks) return x;
  blocks->end_forward(block);
  return record_operation("BlockBackward", {x.tensor}, [&] {
    Operation operation;
    operation.outputs = {x.tensor.detach()};
    operation.backward = [blocks, block](const BackwardPass& pass) {
      blocks->begin_backward(block);
      return pass.gradients;
    };
    return operation;
  })[0];
}

bool TensorVerbs::recomputes(Recompute piece) const {
  return options_.recompute == piece && at::GradMode::is_enabled();
}

Value TensorVerbs::recomputed(const std::vector<Value>& values, const std::vector<Tensor>& weights,
                              const Piece& piece) {
  // Keys that the piece has read from the loop before are inputs; those that it keeps for the next
  // one are results.
  std::vector<Tensor> inputs;
  for (const Value& value : values) inputs.push_back(value.tensor);
  for (const KeptKeys& keys : kept_) inputs.insert(inputs.end(), {keys.a, keys.b});
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  const size_t layers = kept_.size();
  TensorVerbs copy = *this;
  copy.kept_.clear();
  copy.halting_ = {};
  copy.agreed_ = Tensor();
  const auto changed = std::make_shared<std::vector<size_t>>();  // layers whose keys are results
  const Segment segment = [copy, piece, layers, count = values.size(), changed](
                              const std::vector<Tensor>& given, bool again) {
    TensorVerbs v = copy;
    if (again) v.result_ = nullptr;  // the tokens have been counted
    auto next = given.begin() + static_cast<int64_t>(count);
    const std::vector<Value> values(given.begin(), next);
    for (size_t i = 0; i < layers; ++i, next += 2) v.kept_.push_back({*next, *(next + 1)});
    const std::vector<KeptKeys> before = v.kept_;
    std::vector<Tensor> outputs = {piece(v, values, {next, given.end()}).tensor};
    changed->clear();
    for (size_t i = 0; i < layers; ++i) {
      if (v.kept_[i].a.is_same(before[i].a)) continue;
      changed->push_back(i);
      outputs.push_back(v.kept_[i].a);
      if (v.kept_[i].b.defined()) outputs.push_back(v.kept_[i].b);
    }
    return outputs;
  };
  const std::vector<Tensor> outputs = mythos::recomputed(segment, inputs);
  auto next = outputs.begin() + 1;
  for (const size_t i : *changed) {
    const bool pair = c_.attention != Attention::mla || !cache_;
    kept_[i].a = *next++;
    if (pair) kept_[i].b = *next++;
  }
  return outputs[0];
}

}  // namespace mythos
