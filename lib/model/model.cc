#include "model/model.h"

#include <ATen/ATen.h>

#include "model/latent.h"
#include "model/tensor_verbs.h"
#include "ops/linear/linear.h"
#include "ops/loss/cross_entropy.h"
#include "ops/loss/linear_cross_entropy.h"

namespace mythos {

ForwardResult forward(const ModelConfig& config, const Weights& w, const Tensor& ids,
                      const ForwardOptions& options) {
  if (config.latent_token >= 0 && !options.inputs.defined() && !options.cache) {
    ForwardOptions filled = options;
    filled.inputs = latent_inputs(config, w, ids, options);
    if (filled.inputs.defined()) return forward(config, w, ids, filled);
  }
  ForwardResult result;
  TensorVerbs verbs(config, w.compute_type, ids, options, result);
  const Output output = transformer(verbs, config, w, options.exit, options.last_only);
  if (options.cache) options.cache->advance(ids.size(1));
  result.hidden = output.hidden.tensor;
  result.logits = output.logits.tensor;
  if (options.collect.outputs && !mixes_states(config)) result.loop_hidden.push_back(result.hidden);
  return result;
}

Tensor logits(const Weights& weights, const Tensor& hidden) {
  const Tensor plain = apply_linear(hidden, weights.head).to(at::kFloat);
  return weights.logit_softcap > 0 ? softcapped(plain, weights.logit_softcap) : plain;
}

Tensor token_losses(const Weights& weights, const Tensor& hidden, const Tensor& targets) {
  return linear_cross_entropy_rows(hidden.flatten(0, 1), weights.head, targets.flatten(),
                                   weights.logit_softcap)
      .view_as(targets);
}

Tensor loss_sum(const Weights& weights, const Tensor& hidden, const Tensor& targets, double scale,
                const Tensor& device_scale) {
  return linear_cross_entropy(hidden.flatten(0, 1), weights.head.values, targets.flatten(), scale,
                              device_scale, weights.logit_softcap);
}

Tensor scaled_embedding(const ModelConfig& config, const Tensor& rows) {
  return config.embedding_scale == 1 ? rows : rows * config.embedding_scale;
}

}  // namespace mythos
