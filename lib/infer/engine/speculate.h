#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/engine/decoder.h"
#include "infer/sampling/sampling.h"

namespace mythos {

// Self-speculative decoding: few loops draft tokens, one pass at full depth verifies them all.
struct SpeculationOptions {
  int64_t draft_loops = 0;   // 0 turns it off
  int64_t draft_tokens = 4;  // of one verification
};

struct SpeculationCounts {
  int64_t verifications = 0, drafted = 0, accepted = 0;

  double acceptance_rate() const;          // accepted of those drafted
  double tokens_per_verification() const;  // each adds one token of its own
};

// What full depth makes of one drafted token (Leviathan et al. 2023, algorithm 1; Chen et al. 2023,
// theorem 1): `id` was drawn from `draft` and stays with probability min(1, full(id)/draft(id));
// else another is drawn from max(0, full − draft), renormalised. The result is distributed as
// `full`. Both are as next_token_distribution() gives them.
uint32_t verified(uint32_t id, const std::vector<TokenProbability>& draft,
                  const std::vector<TokenProbability>& full, double accept_uniform,
                  double redraw_uniform);

// Fails (usage) where a text of so many loops, or as many as its tokens need with `exits`, cannot
// be drafted and verified as the options say.
void check_speculation(const Decoder& decoder, const SpeculationOptions& options, int64_t loops,
                       bool exits);

// Continues one sequence with tokens that are distributed as those of sample_token() at full depth;
// at temperature 0 they are the same.
class Speculator {
 public:
  // Decoder and cache must outlive it, and the options have passed check_speculation(). Ids from
  // `drawable_tokens` on are never drawn.
  Speculator(Decoder& decoder, KvCache& cache, const SpeculationOptions& options,
             const SamplingOptions& sampling, uint64_t stream, int64_t drawable_tokens);

  // Feeds `id`, the token drawn last, and draws 1 to `most` tokens, the first of them number
  // `position` of the text. All but the last are fed to the cache. Valid until the next call.
  std::span<const uint32_t> next(uint32_t id, uint64_t position, int64_t most);
  const SpeculationCounts& counts() const { return counts_; }

 private:
  // Feeds tokens, each with at most `loops` loops (0: all); the logits behind each go to logits_.
  void feed(std::span<const uint32_t> ids, int64_t loops);
  void draft(uint32_t id, uint64_t position, int64_t count);
  std::vector<TokenProbability> distribution(std::span<const float> logits) const;

  Decoder& decoder_;
  KvCache& cache_;
  SpeculationOptions options_;
  SamplingOptions sampling_;
  uint64_t stream_;
  size_t drawable_;
  std::vector<Decoder::Row> rows_;
  std::vector<float> logits_;                          // [K+1,V]
  std::vector<uint32_t> fed_, drawn_;                  // of the round
  std::vector<std::vector<TokenProbability>> drafts_;  // what each drafted token was drawn from
  SpeculationCounts counts_;
};

}  // namespace mythos
