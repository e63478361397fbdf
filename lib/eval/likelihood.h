#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "config/packing.h"
#include "data/shards/shards.h"
#include "model/model.h"

namespace mythos {

struct LikelihoodOptions {
  ShardDirectory::Split split = ShardDirectory::Split::val;
  int64_t loops = 0;      // 0 means the model's max_loop_iters
  int64_t seq_len = 256;  // tokens of a window; a window does not see the text before it
  // The number of tokens from the beginning of a window to that of the next, at most seq_len; 0
  // means seq_len. With less than seq_len, windows overlap: each token is predicted once, from at
  // least the seq_len − stride tokens before it, as far as the split has them.
  int64_t stride = 0;
  int64_t batch_size = 0;  // windows of a batch; 0 means as many as hold 8192 tokens
  int64_t max_tokens = 0;  // targets to read; 0 means the whole split
  // How documents become windows: as one stream, or apart as in training with best-fit packing, in
  // stream order (data/sample/document_windows.h). With `masks_documents` none sees another.
  Packing packing = Packing::contiguous;
  bool masks_documents = false;
  std::function<void(int64_t tokens)> on_progress;
  // A process that shares evaluate() with others runs batch number part, part+parts, …; then
  // `combine` adds up the sums of all parts, on the device.
  int64_t part = 0, parts = 1;
  std::function<void(Tensor& sums)> combine = {};
  // Where the processes hold different experts, or parts of the weights: each then runs as many
  // passes as the others.
  ExpertExchange* experts = nullptr;
  BlockWatch* blocks = nullptr;
};

// How well a model or a distribution predicts a split.
struct Likelihood {
  int64_t loops = 0;   // 0 for a distribution that is no model
  int64_t tokens = 0;  // targets
  int64_t bytes = 0;   // bytes of text that the targets stand for; EOS and BOS stand for none
  double nats = 0;     // sum of −log p over the targets
  double seconds = 0;
  // With halting = act: the number of tokens that ran 1, 2, … loops. Otherwise empty.
  std::vector<int64_t> loops_run = {};
  // The share of a token's FLOPs at all loops that was saved because positions had halted: the core
  // loops that did not run, counted as `mythos plan` does.
  double flops_saved = 0;
  int64_t cache_bytes_per_token = 0;  // of the decoder; 0 if computed without one

  double loss() const;           // nats per token
  double perplexity() const;     // exp(loss)
  double bits_per_byte() const;  // comparable between tokenizers
  double tokens_per_second() const;
  double mean_loops() const;  // the mean of loops_run
};

// Runs the model over the split in stream order: every token but the first (with best-fit packing:
// of each document) is predicted once, up to max_tokens. `byte_lengths` is
// Tokenizer::byte_lengths(). The same arguments give the same result.
Likelihood evaluate(const ModelConfig& config, const Weights& weights, const ShardDirectory& data,
                    const std::vector<int32_t>& byte_lengths, const LikelihoodOptions& options);

// The likelihood of the targets of evaluate() under the unigram distribution of the train split,
// with one added to every count of the vocabulary: the best that a model can reach that ignores its
// context.
Likelihood unigram_baseline(const ShardDirectory& data, const std::vector<int32_t>& byte_lengths,
                            ShardDirectory::Split split, int64_t max_tokens,
                            Packing packing = Packing::contiguous);

}  // namespace mythos
