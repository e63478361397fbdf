#include "model/model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/strings.h"
#include "model/recurrence.h"
#include "ops/embed/embed.h"
#include "ops/linear/linear.h"
#include "ops/loss/linear_cross_entropy.h"
#include "ops/norm/rms_norm.h"

namespace mythos {

ForwardResult forward(const ModelConfig& config, const Weights& w, const Tensor& ids,
                      const ForwardOptions& options) {
  KvCache* cache = options.cache;
  const int64_t loops = options.loops > 0 ? options.loops : config.max_loop_iters;
  if (cache && cache->loops() < loops) {
    fail(ErrorKind::internal,
         strprintf("a cache made for %lld loops is used with %lld",
                   static_cast<long long>(cache->loops()), static_cast<long long>(loops)));
  }
  if (cache && options.document_begins.defined()) {
    fail(ErrorKind::internal, "forward: document_begins cannot be used with a cache");
  }
  AttentionContext context = attention_context(config, ids.size(1), cache, ids.device());
  context.document_begins = options.document_begins;
  context.counted = options.counted;
  context.recompute = options.recompute == Recompute::block && at::GradMode::is_enabled();
  Tensor x = embed(w.embed, ids);  // [B,S,D]
  for (int64_t i = 0; i < config.prelude_layers; ++i) {
    x = block(config, w.prelude[i], x, context, cache ? cache->prelude_slot(i) : 0);
  }
  ForwardResult result;
  x = recurrent_core(config, w, x, context, loops, options, result).to(w.compute_type);
  for (int64_t i = 0; i < config.coda_layers; ++i) {
    context.last_query = options.last_only && i + 1 == config.coda_layers;
    x = block(config, w.coda[i], x, context, cache ? cache->coda_slot(i) : 0);
  }
  if (cache) cache->advance(ids.size(1));
  if (options.last_only) x = last_row(x);
  result.hidden = rms_norm(x, w.norm, config.norm_eps);
  return result;
}

Tensor logits(const Weights& weights, const Tensor& hidden) {
  return apply_linear(hidden, weights.head).to(at::kFloat);
}

Tensor token_losses(const Weights& weights, const Tensor& hidden, const Tensor& targets) {
  return linear_cross_entropy_rows(hidden.flatten(0, 1), weights.head, targets.flatten())
      .view_as(targets);
}

Tensor loss_sum(const Weights& weights, const Tensor& hidden, const Tensor& targets, double scale,
                const Tensor& device_scale) {
  return linear_cross_entropy(hidden.flatten(0, 1), weights.head.values, targets.flatten(), scale,
                              device_scale);
}

}  // namespace mythos
