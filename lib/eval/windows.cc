#include "eval/windows.h"

#include <algorithm>

#include "arch/plan.h"
#include "base/error.h"
#include "base/strings.h"
#include "data/sample/document_windows.h"
#include "data/sample/latent_targets.h"

namespace mythos {
namespace {

// Sets targets beyond token `limit` of the split to -1. The batch begins with window `first`;
// windows are `step` tokens apart.
void drop_targets_beyond(Batch& batch, int64_t first, int64_t step, int64_t limit) {
  for (int64_t i = 0; i < batch.batch_size * batch.seq_len; ++i) {
    if ((first + i / batch.seq_len) * step + i % batch.seq_len < limit) continue;
    batch.targets[static_cast<size_t>(i)] = -1;
  }
}

// Calls f(batch) for the batches of a contiguous stream whose first `limit` targets are wanted.
template <class F>
void for_each_stream_batch(const ShardDirectory& data, const LikelihoodOptions& options,
                           int64_t batch_size, int64_t limit, F&& f) {
  const auto windows = static_cast<int64_t>(
      count_windows(static_cast<uint64_t>(limit) + 1, options.seq_len, options.stride));
  for (int64_t window = 0; window < windows; window += batch_size) {
    Batch batch = sequential_batch(data, options.split, static_cast<uint64_t>(window),
                                   std::min(batch_size, windows - window), options.seq_len,
                                   options.stride, options.masks_documents);
    drop_targets_beyond(batch, window, options.stride > 0 ? options.stride : options.seq_len,
                        limit);
    f(batch);
  }
}

// Calls f(batch) for the batches of documents apart.
template <class F>
void for_each_document_batch(const ShardDirectory& data, const LikelihoodOptions& options,
                             int64_t batch_size, int64_t limit, F&& f) {
  DocumentWindows windows(
      data, options.split,
      {static_cast<uint64_t>(limit) + 1, options.seq_len, options.stride, options.masks_documents});
  for (;;) {
    Batch batch = windows.next(batch_size);
    if (batch.batch_size == 0) return;
    f(batch);
  }
}

double macs(const ModelConfig& config, int64_t loops, int64_t context_tokens) {
  const Plan plan = make_plan(config, loops, context_tokens);
  return static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
}

double macs_of_loop(const ModelConfig& config, int64_t context_tokens) {
  return macs(config, 2, context_tokens) - macs(config, 1, context_tokens);
}

}  // namespace

int64_t target_count(const ShardDirectory& data, ShardDirectory::Split split, int64_t max_tokens) {
  const auto all = static_cast<int64_t>(data.tokens(split)) - 1;
  if (all < 1) {
    const bool val = split == ShardDirectory::Split::val;
    const std::string path = data.path().string();
    fail(ErrorKind::data,
         path + ": the " + (val ? "validation" : "training") + " split has " +
             std::to_string(data.tokens(split)) + " tokens, at least 2 are needed.",
         (val ? "Part the text anew: mythos shards split " + path + " NEW --val-fraction 0.05"
              : "Give 'mythos tokenize' more text."));
  }
  data.require_counted(split);
  return max_tokens > 0 ? std::min(all, max_tokens) : all;
}

void for_each_batch(const ShardDirectory& data, const std::vector<int32_t>& byte_lengths,
                    const LikelihoodOptions& options, int64_t batch_size, int64_t latent_token,
                    Likelihood& out, const std::function<void(Batch& batch)>& f) {
  const int64_t limit = target_count(data, options.split, options.max_tokens);
  const auto pass_on = [&](Batch& batch) {
    drop_cut_latents(batch, latent_token);
    for (const int64_t target : batch.targets) {
      if (target < 0) continue;
      ++out.tokens;
      out.bytes += byte_lengths.at(static_cast<size_t>(target));
    }
    if (!options.masks_documents) batch.document_begins.clear();
    f(batch);
    if (options.on_progress) options.on_progress(out.tokens);
  };
  options.packing == Packing::best_fit
      ? for_each_document_batch(data, options, batch_size, limit, pass_on)
      : for_each_stream_batch(data, options, batch_size, limit, pass_on);
  if (out.tokens == 0) {
    fail(ErrorKind::data,
         strprintf("%s: none of the first %d targets of the %s split counts.", data.path(), limit,
                   split_name(options.split)),
         "Evaluate more of it, or all.");
  }
}

void count_saved(const ModelConfig& config, int64_t context_tokens, bool looks, Likelihood& out) {
  const double loop = macs_of_loop(config, context_tokens);
  double saved = (static_cast<double>(out.loops) - out.mean_loops()) * loop;
  if (looks) {
    ModelConfig without_prelude = config;
    without_prelude.prelude_layers = 0;
    saved -= (out.mean_loops() - 1) * (macs(without_prelude, 1, context_tokens) - loop);
  }
  out.flops_saved = saved / macs(config, out.loops, context_tokens);
}

}  // namespace mythos
