#include "model/block.h"

#include <ATen/ATen.h>

#include "model/recompute.h"
#include "ops/linear/linear.h"
#include "ops/moe/moe.h"
#include "ops/norm/rms_norm.h"
#include "ops/swiglu/swiglu.h"

namespace mythos {
namespace {

// Router: experts are chosen by score plus bias (the bias balances load and carries no gradient,
// Wang et al. 2024), and weighted by their softmax scores renormalised over the chosen ones.
Tensor mixture(const ModelConfig& config, const MixtureTensors<Tensor, Matrix>& w, const Tensor& x,
               const Tensor& load, const Tensor& counted) {
  const Tensor rows = x.flatten(0, 1);                                       // [N,D]
  const Tensor router_logits = apply_linear(rows.to(at::kFloat), w.router);  // [N,E]
  const Tensor chosen =
      std::get<1>(at::topk(router_logits.detach() + w.router_bias, config.n_experts_per_tok, -1));
  const Tensor scores = router_logits.softmax(-1).gather(1, chosen);
  const Tensor weights = scores / scores.sum(-1, true);
  if (load.defined()) {
    const Tensor one = counted.defined() ? counted.flatten().to(load.scalar_type()).unsqueeze(1)
                                         : at::ones({1, 1}, load.options());
    load.scatter_add_(0, chosen.flatten(), one.expand(chosen.sizes()).flatten());
  }
  Tensor out = moe_swiglu(rows, chosen, weights, w.gate_up, w.down);
  if (w.shared.gate_up.defined()) {
    out = out + apply_linear(swiglu(apply_linear(rows, w.shared.gate_up)), w.shared.down);
  }
  return out.view_as(x);
}

Tensor plain_block(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                   const AttentionContext& context, int64_t slot, const Tensor& load,
                   KeptKeys* kept) {
  const Tensor normed = rms_norm(x, w.attn_norm, config.norm_eps);
  const auto [sum, ffn_input] =
      add_rms_norm(queried(x, context), attention(config, w, normed, context, slot, kept), {},
                   w.ffn_norm, config.norm_eps);
  return sum + feed_forward(config, w, ffn_input, load, context.counted);
}

}  // namespace

Tensor feed_forward(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                    const Tensor& load, const Tensor& counted) {
  if (w.moe.router.defined()) return mixture(config, w.moe, x, load, counted);
  return apply_linear(swiglu(apply_linear(x, w.dense.gate_up)), w.dense.down);
}

Tensor block(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
             const AttentionContext& context, int64_t slot, const Tensor& load, KeptKeys* kept) {
  if (!context.recompute) return plain_block(config, w, x, context, slot, load, kept);
  std::vector<Tensor> inputs = {x};
  if (kept) inputs.insert(inputs.end(), {kept->a, kept->b});
  const FeedForward ffn = w.moe.router.defined() ? FeedForward::moe : FeedForward::dense;
  LayerWeights::visit(w, config, ffn, [&](const Matrix& member, const TensorDeclaration&) {
    inputs.push_back(member.values);
  });
  const Segment segment = [&config, ffn, context, slot, load, keeps = kept != nullptr](
                              const std::vector<Tensor>& given, bool again) {
    auto next = given.begin() + 1;
    KeptKeys keys;
    if (keeps) keys.a = *next++, keys.b = *next++;
    LayerWeights weights;
    LayerWeights::visit(weights, config, ffn,
                        [&](auto& member, const TensorDeclaration&) { member = *next++; });
    std::vector<Tensor> outputs = {plain_block(config, weights, given[0], context, slot,
                                               again ? Tensor() : load, keeps ? &keys : nullptr)};
    if (keeps) outputs.insert(outputs.end(), {keys.a, keys.b});
    return outputs;
  };
  const std::vector<Tensor> outputs = recomputed(segment, inputs);
  if (kept) *kept = {outputs[1], outputs[2]};
  return outputs[0];
}

}  // namespace mythos
