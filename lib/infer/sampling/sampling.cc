#include "infer/sampling/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"

namespace mythos {
namespace {

void require(bool allowed, const char* option, double value, const char* range) {
  if (!allowed) {
    fail(ErrorKind::usage, strprintf("%s is %g; allowed: %s", option, value, range));
  }
}

// The most likely id; the smallest of several.
uint32_t most_likely(std::span<const float> logits) {
  if (logits.empty()) fail(ErrorKind::internal, "no logits to draw a token from");
  size_t best = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || logits[id] == std::numeric_limits<float>::infinity()) {
      fail(ErrorKind::data,
           strprintf("the model's logits are not finite (token %u: %g), so no token can be drawn.",
                     id, static_cast<double>(logits[id])),
           "See 'mythos stability-check', or try fewer loops");
    }
    if (logits[id] > logits[best]) best = id;
  }
  return static_cast<uint32_t>(best);
}

bool more_likely(const TokenProbability& a, const TokenProbability& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}

double total(const std::vector<TokenProbability>& tokens) {
  double sum = 0;
  for (const TokenProbability& token : tokens) sum += token.probability;
  return sum;
}

void keep_top_k(std::vector<TokenProbability>& tokens, size_t k) {
  if (k >= tokens.size()) return;
  std::nth_element(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(k), tokens.end(),
                   more_likely);
  tokens.resize(k);
}

// A heap yields the likeliest tokens one by one: the nucleus is mostly far smaller than the
// vocabulary, which then need not be sorted.
void keep_top_p(std::vector<TokenProbability>& tokens, double p) {
  const auto less_likely = [](const TokenProbability& a, const TokenProbability& b) {
    return more_likely(b, a);
  };
  const double target = p * total(tokens);
  std::make_heap(tokens.begin(), tokens.end(), less_likely);
  auto heap_end = tokens.end();
  for (double sum = 0; heap_end != tokens.begin() && sum < target; --heap_end) {
    std::pop_heap(tokens.begin(), heap_end, less_likely);
    sum += (heap_end - 1)->probability;
  }
  tokens.erase(tokens.begin(), heap_end);
}

}  // namespace

void SamplingOptions::validate() const {
  require(temperature >= 0 && std::isfinite(temperature), "temperature", temperature,
          "0 (greedy) or more");
  require(top_k >= 0, "top-k", static_cast<double>(top_k), "1 or more; 0 turns it off");
  require(top_p > 0 && top_p <= 1, "top-p", top_p, "more than 0, at most 1");
  require(min_p >= 0 && min_p <= 1, "min-p", min_p, "0 to 1");
}

std::vector<TokenProbability> next_token_distribution(std::span<const float> logits,
                                                      const SamplingOptions& options) {
  const uint32_t best = most_likely(logits);
  if (options.temperature == 0) return {{best, 1.0}};
  std::vector<TokenProbability> tokens;
  tokens.reserve(logits.size());
  const double highest = logits[best];
  for (size_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp((logits[id] - highest) / options.temperature);
    if (weight > 0) tokens.push_back({static_cast<uint32_t>(id), weight});
  }
  if (tokens.empty()) return {{best, 1.0}};  // every logit is -infinity
  if (options.top_k > 0) keep_top_k(tokens, static_cast<size_t>(options.top_k));
  if (options.top_p < 1) keep_top_p(tokens, options.top_p);
  // The likeliest token has weight 1 and passes every filter.
  std::erase_if(tokens, [&](const TokenProbability& t) { return t.probability < options.min_p; });
  const auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };
  // Only some filters disturb the order.
  if (!std::is_sorted(tokens.begin(), tokens.end(), by_id)) {
    std::sort(tokens.begin(), tokens.end(), by_id);
  }
  const double sum = total(tokens);
  for (TokenProbability& token : tokens) token.probability /= sum;
  return tokens;
}

uint32_t pick(const std::vector<TokenProbability>& tokens, double uniform) {
  for (const TokenProbability& token : tokens) {
    uniform -= token.probability;
    if (uniform < 0) return token.id;
  }
  return tokens.back().id;  // rounding left a sum just below 1
}

uint32_t sample_token(std::span<const float> logits, const SamplingOptions& options,
                      uint64_t stream, uint64_t position) {
  if (options.temperature == 0) return most_likely(logits);
  return pick(next_token_distribution(logits, options),
              Rng(options.seed, stream, position).uniform());
}

}  // namespace mythos
