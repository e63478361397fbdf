#include "model/injection.h"

#include <ATen/ATen.h>

namespace mythos {
namespace {

using at::Tensor;

// a of zoh, [D].
Tensor decay_rate(const InjectionWeights& w) {
  return at::exp(at::clamp(w.log_a, -20.0, 20.0));
}

// What zoh multiplies its input by, [D]: (1 - A) / a, or the step Δ.
Tensor input_gain(const ModelConfig& config, const InjectionWeights& w) {
  const Tensor step = at::softplus(w.dt_bias);
  if (config.zoh_gain == ZohGain::euler) return step;
  const Tensor a = decay_rate(w);
  return -at::expm1(-step * a) / a;
}

// The diagonal A of lti, zoh and gated, [D].
Tensor decay(const ModelConfig& config, const InjectionWeights& w) {
  // Strictly inside (0, 1) by construction: fp32 rounds exp(-exp(x)) to 1 for x below -17 and to 0
  // for x above 4.6, and a state that never decays, or forgets all, is not a stable memory.
  constexpr double kSmallest = 1e-37, kLargest = 1.0 - 0x1.0p-24;
  if (config.injection == Injection::lti) {
    const Tensor x = at::clamp(w.log_dt + w.log_A, -20.0, 20.0);
    return at::clamp(at::exp(-at::exp(x)), kSmallest, kLargest);
  }
  if (config.injection == Injection::gated) {
    return at::clamp(at::sigmoid(w.gate), kSmallest, kLargest);
  }
  return at::clamp(at::exp(-at::softplus(w.dt_bias) * decay_rate(w)), kSmallest, kLargest);
}

}  // namespace

std::vector<Value> InjectionRule::prepare(Verbs& v, const ModelConfig& config,
                                          const InjectionWeights& w, const Value& e) {
  switch (config.injection) {
    case Injection::lti:
      return {e, decay(config, w)};
    case Injection::zoh: {
      const Value input = v.product(v.narrow(e), w.B_in);
      return {e, decay(config, w), v.sum({{v.wide(input), input_gain(config, w)}})};
    }
    case Injection::gated: {
      const Tensor A = decay(config, w);
      return {e, A, 1 - A};
    }
    case Injection::linear:
    case Injection::add:
    case Injection::none:
      break;
  }
  return {e};
}

InjectionRule::InjectionRule(Verbs& v, const ModelConfig& config, const InjectionWeights& w,
                             std::vector<Value> prepared)
    : v_(v), c_(config), w_(w), prepared_(std::move(prepared)) {}

Value InjectionRule::enter(const Value& h) const {
  const Value &e = prepared_[0], mark = v_.loop_embedding();
  switch (c_.injection) {
    case Injection::lti:
      return v_.add_norm(h, e, mark, w_.norm).second;
    case Injection::zoh: {
      const Value &A = prepared_[1], &input = prepared_[2];
      return v_.narrow(v_.sum({{input}, {h, A}, {mark}}));
    }
    case Injection::linear:
      return v_.product(v_.narrow(v_.concat(v_.sum({{h}, {mark}}), e)), w_.weight);
    case Injection::gated:
    case Injection::add:
      return v_.narrow(v_.sum({{h}, {e}, {mark}}));
    case Injection::none:
      break;
  }
  return v_.narrow(v_.sum({{h}, {mark}}));
}

Value InjectionRule::leave(const Value& h, const Value& core) const {
  switch (c_.injection) {
    case Injection::lti:
      return v_.sum({{h, prepared_[1]}, {prepared_[0], w_.B}, {core}});
    case Injection::linear:
      if (!c_.injection_norm) break;
      return v_.norm(v_.wide(core), w_.norm, Precision::state);
    case Injection::gated:
      return v_.sum({{h, prepared_[1]}, {core, prepared_[2]}});
    case Injection::zoh:
    case Injection::add:
    case Injection::none:
      break;
  }
  return v_.wide(core);
}

Transition transition(const ModelConfig& config, const InjectionWeights& w) {
  switch (config.injection) {
    case Injection::lti:
    case Injection::zoh:
    case Injection::gated:
      return {decay(config, w), {}};
    case Injection::linear:
      return {{}, w.weight.slice(1, 0, config.dim)};
    case Injection::add:
    case Injection::none:
      break;
  }
  return {};
}

}  // namespace mythos
