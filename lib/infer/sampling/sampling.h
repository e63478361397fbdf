#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace mythos {

// How the next token is drawn from the logits. The filters apply in this order, each to what the
// one before has left, renormalised: temperature → top-k → top-p → min-p (the order of Hugging Face
// transformers).
struct SamplingOptions {
  double temperature = 0.8;  // divides the logits; 0 takes the most likely token, filters or not
  int64_t top_k = 0;         // keep the k most likely tokens; 0 turns it off
  double top_p = 1;  // keep the fewest tokens whose probabilities reach p (nucleus sampling,
                     // Holtzman et al. 2020); 1 turns it off
  double min_p = 0;  // keep tokens at least p times as likely as the likeliest (Nguyen et
                     // al. 2024); 0 turns it off
  uint64_t seed = 1;

  // Fails (usage) naming the option, its value and what is allowed.
  void validate() const;
};

struct TokenProbability {
  uint32_t id;
  double probability;
};

// The distribution that is drawn from: what the filters leave of softmax(logits / temperature), in
// order of id, with sum 1. Of equally likely tokens the filters keep the one with the smaller id.
// Fails (data) when a logit is NaN or +infinity; -infinity means never.
std::vector<TokenProbability> next_token_distribution(std::span<const float> logits,
                                                      const SamplingOptions& options);

// The token at which the probabilities, summed up in order, pass `uniform` in [0, 1).
uint32_t pick(const std::vector<TokenProbability>& tokens, double uniform);

// One token. The same (options, stream, position) and logits give the same token: streams tell
// samples of one prompt apart, positions tell the tokens of one sample apart.
uint32_t sample_token(std::span<const float> logits, const SamplingOptions& options,
                      uint64_t stream, uint64_t position);

}  // namespace mythos
