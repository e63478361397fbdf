#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "data/shards/shards.h"
#include "model/model.h"

namespace mythos {

struct LikelihoodOptions {
  ShardDirectory::Split split = ShardDirectory::Split::val;
  int64_t loops = 0;      // 0 means the model's max_loop_iters
  int64_t seq_len = 256;  // tokens of a window; each window is read without what came before it
  // Tokens from the beginning of a window to that of the next, up to seq_len, which is what 0
  // means. With less a token is predicted, once, from seq_len − stride tokens before it at least,
  // as far as the split has them.
  int64_t stride = 0;
  int64_t batch_size = 0;  // windows of a batch; 0 means as many as hold 8192 tokens
  int64_t max_tokens = 0;  // targets to read; 0 means the whole split
  std::function<void(int64_t tokens)> on_progress;
};

// How well a model, or a distribution, predicts a split.
struct Likelihood {
  int64_t loops = 0;   // 0: not a model
  int64_t tokens = 0;  // targets
  int64_t bytes = 0;   // of text that the targets stand for; EOS and BOS stand for none
  double nats = 0;     // sum of −log p over the targets
  double seconds = 0;
  // With halting = act: tokens by the loops that they ran, 1 … loops. Otherwise empty.
  std::vector<int64_t> loops_run = {};
  // Of a token's FLOPs at all loops, the share left out since positions had halted: core loops not
  // run, counted as `mythos plan` does.
  double flops_saved = 0;
  int64_t cache_bytes_per_token = 0;  // of a decoder; 0: computed without

  double loss() const;           // nats per token
  double perplexity() const;     // exp(loss)
  double bits_per_byte() const;  // comparable between tokenizers
  double tokens_per_second() const;
  double mean_loops() const;  // of loops_run
};

// Runs the model over the split in stream order: every token but the first is predicted once, up to
// max_tokens. `byte_lengths` is Tokenizer::byte_lengths(). The same arguments give the same result.
Likelihood evaluate(const ModelConfig& config, const Weights& weights, const ShardDirectory& data,
                    const std::vector<int32_t>& byte_lengths, const LikelihoodOptions& options);

// The same targets under the unigram distribution of the train split, with one added to every count
// of the vocabulary: what a model that ignores its context can reach.
Likelihood unigram_baseline(const ShardDirectory& data, const std::vector<int32_t>& byte_lengths,
                            ShardDirectory::Split split, int64_t max_tokens);

}  // namespace mythos
