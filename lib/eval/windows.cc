#include "eval/windows.h"

#include <algorithm>

#include "arch/plan.h"
#include "base/error.h"
#include "base/strings.h"
#include "data/sample/latent_targets.h"

namespace mythos {
namespace {

// Counts the batch's targets and their bytes into `out`, and sets targets beyond token `limit` of
// the split to -1. The batch begins with window `first`; windows are `step` tokens apart.
void count_targets(Batch& batch, const std::vector<int32_t>& byte_lengths, int64_t first,
                   int64_t step, int64_t limit, Likelihood& out) {
  for (int64_t i = 0; i < batch.batch_size * batch.seq_len; ++i) {
    int64_t& target = batch.targets[static_cast<size_t>(i)];
    if ((first + i / batch.seq_len) * step + i % batch.seq_len >= limit) target = -1;
    if (target < 0) continue;
    ++out.tokens;
    out.bytes += byte_lengths.at(static_cast<size_t>(target));
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
  const auto windows = static_cast<int64_t>(
      count_windows(static_cast<uint64_t>(limit) + 1, options.seq_len, options.stride));
  for (int64_t window = 0; window < windows; window += batch_size) {
    Batch batch =
        sequential_batch(data, options.split, static_cast<uint64_t>(window),
                         std::min(batch_size, windows - window), options.seq_len, options.stride);
    drop_cut_latents(batch, latent_token);
    count_targets(batch, byte_lengths, window,
                  options.stride > 0 ? options.stride : options.seq_len, limit, out);
    f(batch);
    if (options.on_progress) options.on_progress(out.tokens);
  }
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
