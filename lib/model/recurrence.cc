#include "model/recurrence.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "model/halting.h"
#include "model/recompute.h"
#include "ops/inject/inject.h"
#include "ops/linear/linear.h"
#include "ops/norm/rms_norm.h"

namespace mythos {
namespace {

// a of a ZOH injection, [D].
Tensor decay_rate(const Weights& w) {
  return at::exp(at::clamp(w.core.injection.log_a, -20.0, 20.0));
}

// Of x [B,S,D] the positions of these indices, [1,N,D].
Tensor select_rows(const Tensor& x, const Tensor& places) {
  return x.flatten(0, 1).index_select(0, places).unsqueeze(0);
}

// One step h → h' of the configured recurrence around the core layers.
class Step {
 public:
  Step(const ModelConfig& config, const Weights& w, const Tensor& e, int64_t loops,
       const std::vector<Tensor>& load)
      : c_(config), w_(&w), e_(e), load_(load) {
    if (c_.loop_embedding == LoopEmbedding::sinusoid) marks_ = loop_marks(c_, loops, e.device());
    if (c_.injection == Injection::lti || c_.injection == Injection::zoh) A_ = transition(c_, *w_);
    if (c_.injection == Injection::zoh) {
      drive_ = apply_linear(e.to(w_->compute_type), w_->core.injection.B_in).to(at::kFloat) *
               zoh_gain(*w_);
    }
  }

  // The same step for some of the B·S positions only.
  Step at_places(const Tensor& places) const {
    Step some = *this;
    some.e_ = select_rows(e_, places);
    if (drive_.defined()) some.drive_ = select_rows(drive_, places);
    return some;
  }

  // Without intermediate results, which the backward pass computes again.
  Tensor recomputed(const Tensor& h, int64_t t, const AttentionContext& context,
                    std::vector<KeptKeys>& kept) const {
    std::vector<Tensor> inputs = {h};
    for (const KeptKeys& keys : kept) inputs.insert(inputs.end(), {keys.a, keys.b});
    CoreWeights::visit(w_->core, c_, [&](const Matrix& member, const TensorDeclaration&) {
      inputs.push_back(member.values);
    });
    inputs.insert(inputs.end(), {e_, A_, drive_});
    const Segment segment = [copy = *this, w = *w_, t, context, layers = kept.size()](
                                const std::vector<Tensor>& given, bool again) {
      auto next = given.begin() + 1;
      std::vector<KeptKeys> keys(layers);
      for (KeptKeys& layer : keys) layer.a = *next++, layer.b = *next++;
      Step step = copy;
      Weights weights = w;
      step.w_ = &weights;
      CoreWeights::visit(weights.core, step.c_,
                         [&](auto& member, const TensorDeclaration&) { member = *next++; });
      for (Tensor* tensor : {&step.e_, &step.A_, &step.drive_}) *tensor = *next++;
      if (again) step.load_.clear();  // the tokens have been counted
      std::vector<Tensor> outputs = {step(given[0], t, context, keys)};
      for (const KeptKeys& layer : keys) outputs.insert(outputs.end(), {layer.a, layer.b});
      return outputs;
    };
    const std::vector<Tensor> outputs = mythos::recomputed(segment, inputs);
    for (size_t i = 0; i < kept.size(); ++i) kept[i] = {outputs[2 * i + 1], outputs[2 * i + 2]};
    return outputs[0];
  }

  // `kept` has an entry for each core layer where positions may halt, and is empty otherwise.
  Tensor operator()(const Tensor& h, int64_t t, const AttentionContext& context,
                    std::vector<KeptKeys>& kept) const {
    const Tensor mark = marks_.defined() ? marks_[t] : Tensor();
    const auto core = [&](const Tensor& x) { return layers(x, t, context, kept); };
    const auto& injection = w_->core.injection;
    switch (c_.injection) {
      case Injection::lti: {
        const Tensor u =
            add_rms_norm(h, e_, mark, injection.norm, c_.norm_eps, w_->compute_type).second;
        return inject(h, e_, core(u), A_, injection.B);
      }
      case Injection::zoh:
        return wide(core(narrow(marked(at::addcmul(drive_, h, A_), mark))));
      case Injection::linear: {
        const Tensor mixed =
            apply_linear(narrow(at::cat({marked(h, mark), e_}, -1)), injection.weight);
        return rms_norm(wide(core(mixed)), injection.norm, c_.norm_eps);
      }
      case Injection::add:
        return wide(core(narrow(marked(h + e_, mark))));
      case Injection::none:
        break;
    }
    return wide(core(narrow(marked(h, mark))));
  }

 private:
  Tensor narrow(const Tensor& x) const { return x.to(w_->compute_type); }
  static Tensor wide(const Tensor& x) { return x.to(at::kFloat); }
  static Tensor marked(const Tensor& x, const Tensor& mark) {
    return mark.defined() ? x + mark : x;
  }

  Tensor layers(Tensor x, int64_t t, const AttentionContext& context,
                std::vector<KeptKeys>& kept) const {
    for (int64_t layer = 0; layer < c_.core_layers; ++layer) {
      const int64_t slot = context.cache ? context.cache->core_slot(t, layer) : 0;
      x = block(c_, w_->core.layers[layer], x, context, slot,
                load_.empty() ? Tensor() : load_[layer], kept.empty() ? nullptr : &kept[layer]);
    }
    const auto& adapter = w_->core.adapter;
    if (!adapter.down.defined()) return x;
    // Loops beyond those trained use the last one's scale.
    const Tensor scale = adapter.scale[std::min(t, c_.max_loop_iters - 1)].to(x.scalar_type());
    return x + apply_linear(apply_linear(x, adapter.down) * scale, adapter.up.t());
  }

  const ModelConfig& c_;
  const Weights* w_;
  Tensor e_;
  std::vector<Tensor> load_;
  Tensor marks_, A_, drive_;
};

// In the loops that no position runs the keys stay those of the last one.
void repeat_keys(KvCache& cache, int64_t first_loop, int64_t loops,
                 const std::vector<KeptKeys>& kept) {
  for (int64_t t = first_loop; t < loops; ++t) {
    for (size_t layer = 0; layer < kept.size(); ++layer) {
      cache.append(cache.core_slot(t, static_cast<int64_t>(layer)), kept[layer].a, kept[layer].b);
    }
  }
}

}  // namespace

Tensor loop_marks(const ModelConfig& config, int64_t loops, at::Device device) {
  const int64_t channels = config.loop_channels();
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  const Tensor exponent = at::arange(0, channels, 2, options) / static_cast<double>(channels);
  const Tensor angle = at::outer(at::arange(loops, options), 1.0 / at::pow(10000.0, exponent));
  const Tensor marks = at::cat({at::sin(angle), at::cos(angle)}, 1).narrow(1, 0, channels);
  return at::constant_pad_nd(marks, {0, config.dim - channels});
}

Tensor zoh_gain(const Weights& w) {
  const Tensor a = decay_rate(w);
  return -at::expm1(-at::softplus(w.core.injection.dt_bias) * a) / a;
}

Tensor transition(const ModelConfig& config, const Weights& w) {
  // Strictly inside (0, 1) by construction: fp32 rounds exp(-exp(x)) to 1 for x below -17 and to 0
  // for x above 4.6, and a state that never decays, or forgets all, is not a stable memory.
  constexpr double kSmallest = 1e-37, kLargest = 1.0 - 0x1.0p-24;
  if (config.injection == Injection::lti) {
    const Tensor x = at::clamp(w.core.injection.log_dt + w.core.injection.log_A, -20.0, 20.0);
    return at::clamp(at::exp(-at::exp(x)), kSmallest, kLargest);
  }
  if (config.injection == Injection::zoh) {
    return at::clamp(at::exp(-at::softplus(w.core.injection.dt_bias) * decay_rate(w)), kSmallest,
                     kLargest);
  }
  return {};
}

Tensor recurrent_core(const ModelConfig& config, const Weights& w, const Tensor& x,
                      const AttentionContext& context, int64_t loops, const ForwardOptions& options,
                      ForwardResult& result) {
  const Tensor e = config.prelude_norm ? rms_norm(x, w.prelude_norm, config.norm_eps, at::kFloat)
                                       : x.to(at::kFloat);
  if (options.count_experts && config.ffn == FeedForward::moe) {
    for (int64_t layer = 0; layer < config.core_layers; ++layer) {
      result.expert_load.push_back(at::zeros({config.n_experts}, e.options().requires_grad(false)));
    }
  }
  const Step step(config, w, e, loops, result.expert_load);
  HaltingState halting(config, w, loops);
  const bool halts = config.halting != Halting::none, freezes = config.halting == Halting::act;
  const bool recompute = options.recompute == Recompute::loop && at::GradMode::is_enabled();
  AttentionContext every = context;
  every.skips = freezes && options.skip_halted && !at::GradMode::is_enabled();
  // Positions that go on changing owe the cache every loop's keys; on a device asking costs more
  // than a few loops.
  const bool may_stop = every.skips || (halts && (freezes || !context.cache) && x.is_cpu());
  std::vector<KeptKeys> kept(static_cast<size_t>(freezes ? config.core_layers : 0));
  Tensor h = config.initial_state == InitialState::input ? e : at::zeros_like(e);
  for (int64_t t = 0; t < loops; ++t) {
    AttentionContext now = every;
    if (halts && t > 0) {
      now = freezes ? loop_context(every, halting.running())
                    : counting_context(every, halting.running());
    }
    Tensor before = h;
    if (now.places.defined()) {
      if (options.observer) before = h.clone();
      const Tensor rows = step.at_places(now.places)(select_rows(h, now.places), t, now, kept);
      h.view({-1, config.dim}).index_copy_(0, now.places, rows[0]);
      halting.add(rows, now.places);
    } else {
      h = recompute ? step.recomputed(h, t, now, kept) : step(h, t, now, kept);
      if (now.running.defined()) h = at::where(now.running.unsqueeze(-1), h, before);
      if (halts) halting.add(h);
    }
    if (options.observer) options.observer(t, before.detach(), h.detach());
    if (may_stop && halting.all_halted()) {
      if (context.cache) repeat_keys(*context.cache, t + 1, loops, kept);
      break;
    }
  }
  if (!halts) return h;
  if (freezes) result.loops_run = halting.loops_run();
  result.halt_weights = halting.weights();
  result.ponder = halting.ponder();
  return halting.output();
}

}  // namespace mythos
