#include "eval/cache_fit.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "data/sample/sampler.h"
#include "device/device.h"
#include "model/latent.h"

namespace mythos {
namespace {

constexpr int64_t kPassTokens = 8192;

ShardDirectory calibration_text(const LoadedCheckpoint& loaded, const CacheFitOptions& options) {
  ShardDirectory data(options.data);
  if (!loaded.tokenizer) {
    fail(ErrorKind::data,
         loaded.path.string() +
             ": carries no tokenizer, so it cannot be told whether the shards are its own.",
         "Import the model again with --tokenizer TOK");
  }
  data.require_tokenizer(loaded.tokenizer->fingerprint(), "the checkpoint " + loaded.path.string());
  if (data.tokens(options.split) == 0) {
    fail(ErrorKind::data,
         strprintf("%s: the %s split has no tokens.", data.path(), split_name(options.split)));
  }
  return data;
}

int64_t window_of(const Config& config, const CacheFitOptions& options, int64_t tokens) {
  const int64_t most = config.model.max_seq_len;
  if (options.seq_len > most) {
    fail(ErrorKind::usage,
         strprintf("--seq-len %d: at most model.max_seq_len = %d", options.seq_len, most));
  }
  const int64_t usual = std::min(config.train.seq_len, most);
  return std::min(options.seq_len > 0 ? options.seq_len : usual, tokens);
}

void require_memory(double needed_bytes, double available_bytes, int64_t loops) {
  if (needed_bytes <= available_bytes) return;
  fail(ErrorKind::resources,
       strprintf("fitting to keys of %d loops takes %s, and this machine has %s left.", loops,
                 human_bytes(needed_bytes), human_bytes(available_bytes)),
       "Fit to fewer --loops, whose square the sums take, or pass fewer windows at a time with "
       "--batch-size");
}

}  // namespace

CacheFit fit_cache(const LoadedCheckpoint& loaded, at::Device device,
                   const CacheFitOptions& options, double available_bytes) {
  const at::NoGradGuard no_grad;
  const ModelConfig& config = loaded.config.model;
  const int64_t loops = options.loops > 0 ? options.loops : config.max_loop_iters;
  const CrossLoopShape shape(config);
  CacheFit out;
  out.full_rank = loops * shape.width;
  if (options.rank < 1 || options.rank > out.full_rank) {
    fail(ErrorKind::usage,
         strprintf("--rank %d: allowed are 1 to %d, %d loops of keys of %d numbers", options.rank,
                   out.full_rank, loops, shape.width));
  }
  const ShardDirectory data = calibration_text(loaded, options);
  const auto all = static_cast<int64_t>(data.tokens(options.split));
  const int64_t tokens = std::min(all, options.max_tokens);
  const int64_t window = window_of(loaded.config, options, tokens);
  const int64_t windows = tokens / window;
  const int64_t batch =
      options.batch_size > 0 ? options.batch_size : std::max<int64_t>(1, kPassTokens / window);
  if (device.is_cpu()) {
    const int64_t pass_tokens = std::min(batch, windows) * window;
    require_memory(CrossLoopFit::most_bytes(config, loops, options.rank, pass_tokens),
                   available_bytes, loops);
  }
  const at::ScalarType type = resolve_compute_type(ComputeType::automatic, device);
  const Weights weights = make_weights(config, loaded.model->parameters, type);

  CrossLoopFit fit(config, loops, device);
  ForwardOptions forward_options;
  forward_options.loops = loops;
  forward_options.cache = &fit;
  forward_options.last_only = true;
  Progress progress("fitting:", windows * window, "tokens");
  std::vector<uint32_t> read;
  for (int64_t first = 0; first < windows; first += batch) {
    const int64_t count = std::min(batch, windows - first);
    read.resize(static_cast<size_t>(count * window));
    data.read(options.split, static_cast<uint64_t>(first * window), read);
    Tensor ids = at::empty({count, window}, at::kLong);
    std::copy(read.begin(), read.end(), ids.data_ptr<int64_t>());
    ids = ids.to(device);
    if (config.latent_token >= 0) {
      ForwardOptions plain;
      plain.loops = loops;
      forward_options.inputs = latent_inputs(config, weights, ids, plain);
    }
    forward(config, weights, ids, forward_options);
    out.tokens += count * window;
    progress.update(out.tokens);
  }
  out.result = fit.fit(options.rank);
  out.result.basis.probe = cross_loop_probe(weights.embed);
  const CacheLayout layout(config, Section::core);
  const int64_t parts = layout.b.empty() ? 1 : 2;
  out.numbers = config.core_layers * parts * shape.units * options.rank;
  out.all_numbers = config.core_layers * loops * layout.numbers();
  return out;
}

}  // namespace mythos
