#include "model/exit_criteria.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/format.h"
#include "ops/linear/row_products.h"

namespace mythos {
namespace {

using at::Tensor;

constexpr double kFirstEntropy = 100, kEntropyEps = 1e-10, kMinP = 0.1;
constexpr double kSmall = 1e-30;  // of squared lengths that divide

[[noreturn]] void not_a_criterion(ExitRule rule) {
  fail(ErrorKind::internal, "exit by " + std::string(enum_name(rule)) + " compares nothing");
}

Tensor entropy(const Tensor& logits) {
  const Tensor p = logits.softmax(-1);
  return -(p * (p + kEntropyEps).log()).sum(-1);
}

// Σ p (ln p − ln q) of the distributions with these logarithms; never below 0 by rounding.
Tensor kl_divergence(const Tensor& log_p, const Tensor& log_q) {
  return (log_p.exp() * (log_p - log_q)).sum(-1).clamp_min(0);
}

// The logarithm of the distribution that minp_kl compares.
Tensor log_min_p(const Tensor& logits) {
  const Tensor p = logits.softmax(-1);
  const Tensor kept = p.ge(kMinP * p.amax(-1, true));
  const Tensor q = at::where(kept, p, at::full_like(p, 1.0 / static_cast<double>(p.size(-1))));
  return (q / q.sum(-1, true)).log();
}

// The numbers of one position's distribution, from which the logarithm of each probability follows.
struct RowDistribution {
  const float* logits;
  double most = 0, log_sum = 0;  // the largest logit, the log of Σ exp
  int64_t count;

  RowDistribution(const float* logits_, int64_t count_) : logits(logits_), count(count_) {
    const float top = *std::max_element(logits, logits + count);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - top));
    most = top;
    log_sum = top + std::log(sum);
  }
  double log_p(int64_t i) const { return logits[i] - log_sum; }
  double entropy() const {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double p = std::exp(log_p(i));
      sum -= p * std::log(p + kEntropyEps);
    }
    return sum;
  }
};

// That distribution with unlikely tokens replaced, as minp_kl compares it.
struct RowMinP {
  RowDistribution full;
  double least, log_total = 0;

  RowMinP(const float* logits, int64_t count)
      : full(logits, count), least(full.most + std::log(kMinP)) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += std::exp(unscaled(i));
    log_total = std::log(sum);
  }
  double unscaled(int64_t i) const {
    return full.logits[i] < least ? -std::log(static_cast<double>(full.count)) : full.log_p(i);
  }
  double log_p(int64_t i) const { return unscaled(i) - log_total; }
};

struct RowUniform {
  double log_each;
  explicit RowUniform(int64_t count) : log_each(-std::log(static_cast<double>(count))) {}
  double log_p(int64_t) const { return log_each; }
};

template <class P, class Q>
double row_divergence(const P& p, const Q& q, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double log_p = p.log_p(i);
    sum += std::exp(log_p) * (log_p - q.log_p(i));
  }
  return std::max(sum, 0.0);
}

}  // namespace

void check_exit(const ModelConfig& config, ExitRule rule) {
  if (rule == ExitRule::halting && config.halting == Halting::none) {
    fail(ErrorKind::usage,
         "exit by halting: the model has no halting head (model.halting is none).",
         "Choose latent or kl");
  }
  if (rule == ExitRule::gate && config.halting != Halting::gate) {
    fail(ErrorKind::usage,
         strprintf("exit by gate: the model has no gate of exits (model.halting is %s).",
                   enum_name(config.halting)),
         config.halting == Halting::none ? "Choose latent or kl" : "Choose halting");
  }
}

bool compares_states(ExitRule rule) {
  return rule == ExitRule::latent || rule == ExitRule::latent_diff || rule == ExitRule::cosine;
}

bool compares_outputs(ExitRule rule) {
  return rule == ExitRule::kl || rule == ExitRule::entropy_diff || rule == ExitRule::huginn_kl ||
         rule == ExitRule::minp_kl || rule == ExitRule::argmax_stability;
}

Tensor state_criterion(ExitRule rule, const Tensor& before, const Tensor& after) {
  if (rule == ExitRule::cosine) {
    const Tensor sizes = before.square().sum(-1) * after.square().sum(-1);
    return (1 - (before * after).sum(-1) / sizes.clamp_min(kSmall).sqrt()).clamp_min(0);
  }
  if (!compares_states(rule)) not_a_criterion(rule);
  const Tensor& of = rule == ExitRule::latent ? before : after;
  const Tensor size = of.square().sum(-1).clamp_min(kSmall);
  return ((after - before).square().sum(-1) / size).sqrt();
}

Tensor output_criterion(ExitRule rule, const Tensor& before, const Tensor& after,
                        const Tensor& last) {
  const bool first = !before.defined();
  const auto uniform = [&] {
    return at::full_like(after, -std::log(static_cast<double>(after.size(-1))));
  };
  switch (rule) {
    case ExitRule::kl:
      if (first) return at::full_like(after.select(-1, 0), std::numeric_limits<float>::infinity());
      return kl_divergence(after.log_softmax(-1), before.log_softmax(-1));
    case ExitRule::entropy_diff:
      return (entropy(after) -
              (first ? at::scalar_tensor(kFirstEntropy, after.options()) : entropy(before)))
          .abs();
    case ExitRule::huginn_kl:
      return kl_divergence(first ? uniform() : before.log_softmax(-1), after.log_softmax(-1));
    case ExitRule::minp_kl:
      return kl_divergence(first ? uniform() : log_min_p(before), log_min_p(after));
    case ExitRule::argmax_stability:
      if (first) return at::zeros_like(after.select(-1, 0));
      return (last + 1) * after.argmax(-1).eq(before.argmax(-1));
    default:
      not_a_criterion(rule);
  }
}

Tensor meets(ExitRule rule, const Tensor& value, double threshold) {
  return rule == ExitRule::argmax_stability ? value.ge(threshold) : value.lt(threshold);
}

double state_criterion(ExitRule rule, const float* before, const float* after, int64_t width,
                       float* work) {
  const auto square = [&](const float* x) {
    return std::max(cpu::dot(x, x, width), static_cast<float>(kSmall));
  };
  if (rule == ExitRule::cosine) {
    const double sizes = std::sqrt(static_cast<double>(square(before))) *
                         std::sqrt(static_cast<double>(square(after)));
    return std::max(1 - cpu::dot(before, after, width) / sizes, 0.0);
  }
  if (!compares_states(rule)) not_a_criterion(rule);
  std::copy_n(after, width, work);
  cpu::add_scaled(work, -1, before, width);
  const float size = square(rule == ExitRule::latent ? before : after);
  return std::sqrt(cpu::dot(work, work, width) / size);
}

double output_criterion(ExitRule rule, const float* before, const float* after, int64_t count,
                        double last) {
  using Row = RowDistribution;
  switch (rule) {
    case ExitRule::kl:
      if (!before) return std::numeric_limits<double>::infinity();
      return row_divergence(Row(after, count), Row(before, count), count);
    case ExitRule::entropy_diff: {
      const double entropy = before ? Row(before, count).entropy() : kFirstEntropy;
      return std::abs(Row(after, count).entropy() - entropy);
    }
    case ExitRule::huginn_kl:
      if (!before) return row_divergence(RowUniform(count), Row(after, count), count);
      return row_divergence(Row(before, count), Row(after, count), count);
    case ExitRule::minp_kl:
      if (!before) return row_divergence(RowUniform(count), RowMinP(after, count), count);
      return row_divergence(RowMinP(before, count), RowMinP(after, count), count);
    case ExitRule::argmax_stability: {
      const auto best = [&](const float* x) { return std::max_element(x, x + count) - x; };
      return before && best(before) == best(after) ? last + 1 : 0;
    }
    default:
      not_a_criterion(rule);
  }
}

bool meets(ExitRule rule, double value, double threshold) {
  return rule == ExitRule::argmax_stability ? value >= threshold : value < threshold;
}

}  // namespace mythos
