#include "model/transformer.h"

#include "model/exit_criteria.h"
#include "model/injection.h"

// Shapes: B batch, S sequence, D width, H query heads, K key heads, V vocabulary, E experts.
namespace mythos {
namespace {

// Multi-head latent attention (DeepSeek-V2, 2024) of normalised x [B,S,D] → [B,S,D].
Value latent_attention(Verbs& v, const ModelConfig& c,
                       const LatentAttentionTensors<Tensor, Matrix>& w, const Value& x,
                       const LayerId& layer) {
  const auto down =  // [B,S,q_rank], [B,S,kv_rank], [B,S,rope]
      v.split(v.product(x, w.down), {c.q_lora_rank, c.kv_lora_rank, c.qk_rope_head_dim});
  const Value q = v.product(v.norm(v.wanted(down[0]), w.q_norm), w.q_up);  // [B,S,H·(nope+rope)]
  const Value latent = v.norm(v.heads(down[1], 1), w.kv_norm);
  const Value key = v.rope(v.heads(down[2], 1));  // one for all heads
  const Value values =                            // [B,S,H·v]
      v.attend_latent(v.rope(v.heads(q, c.n_heads)), latent, key, w.kv_up, layer);
  return v.product(values, w.wo);
}

// Grouped-query attention (Ainslie et al. 2023) of normalised x [B,S,D] → [B,S,D]. Biases come
// before the heads' norms, and those before the rotation.
Value grouped_attention(Verbs& v, const ModelConfig& c, const LayerWeights& weights, const Value& x,
                        const LayerId& layer) {
  const GroupedAttentionTensors<Tensor, Matrix>& w = weights.gqa;
  const int64_t H = c.n_heads, K = key_heads_of(c, layer.section), d = c.head_dim();
  const auto qkv = v.split(v.product(x, w.qkv), {H * d, K * d, K * d});
  const auto biased = [&](const Value& y, const Tensor& bias) {
    return bias.defined() ? v.add_bias(y, bias) : y;
  };
  Value q = v.heads(biased(v.wanted(qkv[0]), w.q_bias), H);
  Value k = v.heads(biased(qkv[1], w.k_bias), K);
  Value values = v.heads(biased(qkv[2], w.v_bias), K);
  if (c.qk_norm) {
    const double eps = c.qk_norm_eps > 0 ? c.qk_norm_eps : c.norm_eps;
    q = v.norm_heads(q, w.q_norm, eps);
    k = v.norm_heads(k, w.k_norm, eps);
  }
  if (weights.value_embed.defined()) {
    const int64_t gated = value_gate_channels(c);
    const Value some = gated < c.dim ? v.split(x, {gated, c.dim - gated})[0] : x;
    values =
        v.add_embedding(values, v.product(v.wide(some), weights.value_gate), weights.value_embed);
  }
  return v.product(v.attend_grouped(v.rope(q), v.rope(k), values, layer), w.wo);  // [B,S,H·d]
}

// SwiGLU (Shazeer 2020), or ½ relu² without a gate, of x [B,S,D] → [B,S,D].
Value dense(Verbs& v, const DenseTensors<Tensor, Matrix>& w, const Value& x) {
  const Value hidden = w.up.defined() ? v.relu2_product(x, w.up) : v.gated_product(x, w.gate_up);
  return v.product(hidden, w.down);
}

// A mixture of routed and shared experts (DeepSeekMoE, Dai et al. 2024) of x [B,S,D] → [B,S,D].
Value mixture(Verbs& v, const MixtureTensors<Tensor, Matrix>& w, const Value& x,
              const LayerId& layer) {
  const Value scores = v.product(v.wide(x), w.router);  // [B,S,E]
  const Value shared = w.shared.gate_up.defined() ? dense(v, w.shared, x) : Value();
  return v.experts(x, v.route(scores, w.router_bias, layer), w.gate_up, w.down, shared);
}

// Transformer block: x += attention(norm x); x += feed_forward(norm x). With norm_placement =
// sandwich what is added is normalised, with residual the sums themselves are.
Value block(Verbs& v, const ModelConfig& c, const LayerWeights& w, const Value& x,
            const LayerId& layer) {
  const FeedForward ffn = feed_forward_of(c, layer.section);
  const bool sandwich = c.norm_placement == NormPlacement::sandwich;
  const bool residual = c.norm_placement == NormPlacement::residual;
  const auto text = [&c, ffn, layer, sandwich, residual](Verbs& v, const std::vector<Value>& in,
                                                         const LayerWeights& w) {
    const auto feed = [&](const Value& x) {
      return ffn == FeedForward::moe ? mixture(v, w.moe, x, layer) : dense(v, w.dense, x);
    };
    const Value normed = v.norm(in[0], w.attn_norm);
    Value mixed = c.attention == Attention::mla ? latent_attention(v, c, w.mla, normed, layer)
                                                : grouped_attention(v, c, w, normed, layer);
    if (residual) {
      const Value sum = v.add_norm(v.wanted(in[0]), mixed, {}, w.attn_out_norm).second;
      return v.add_norm(sum, feed(v.norm(sum, w.ffn_norm)), {}, w.ffn_out_norm).second;
    }
    if (sandwich) mixed = v.norm(mixed, w.attn_out_norm);
    const auto [sum, inner] = v.add_norm(v.wanted(in[0]), mixed, {}, w.ffn_norm);
    Value fed = feed(inner);
    if (sandwich) fed = v.norm(fed, w.ffn_out_norm);
    return v.add(sum, fed);
  };
  const auto visit = [&c, layer](auto& tensors, const auto& f) {
    LayerWeights::visit(tensors, c, layer, f);
  };
  return piece(v, Recompute::block, {x}, w, visit, text);
}

// A layer that is a block by itself (arch/shard_layout.h).
Value own_block(Verbs& v, const ModelConfig& c, const LayerWeights& w, const Value& x,
                const LayerId& layer) {
  v.begin_block(layer);
  return v.end_block(layer, block(v, c, w, x, layer));
}

// One step h → h' of the recurrence; values: h, then what the injection has prepared.
Value step(Verbs& v, const ModelConfig& c, const CoreWeights& w, const std::vector<Value>& values) {
  const InjectionRule injection(v, c, w.injection, {values.begin() + 1, values.end()});
  const Value& h = values[0];
  Value x = injection.enter(h);
  for (int64_t i = 0; i < c.core_layers; ++i) {
    x = block(v, c, w.layers[static_cast<size_t>(i)], x, {Section::core, i});
  }
  if (c.lora_rank > 0) {
    x = v.add_low_rank(x, w.adapter.down, v.at_loop(w.adapter.scale), w.adapter.up);
  }
  return injection.leave(h, x);
}

// What follows the loops: read-out, coda and final norm of the state h [B,S,D] fp32, in the compute
// type.
Value coda(Verbs& v, const ModelConfig& c, const Weights& w, const Value& h, bool last_only) {
  const bool twice = c.final_norm == FinalNorm::twice;
  Value x = v.narrow(twice ? v.norm(h, w.norm, Precision::state) : h);
  if (c.readout) x = v.product(x, w.readout);
  for (int64_t i = 0; i < c.coda_layers; ++i) {
    if (last_only && i + 1 == c.coda_layers) v.want_last();
    x = own_block(v, c, w.coda[static_cast<size_t>(i)], x, {Section::coda, i});
  }
  if (last_only && c.coda_layers == 0) {
    v.want_last();
    x = v.wanted(x);
  }
  return c.final_norm == FinalNorm::loop ? x : v.norm(x, w.norm);
}

// Logits of what coda() gives.
Value output_logits(Verbs& v, const ModelConfig& c, const Weights& w, const Value& x) {
  const Value logits = v.product(x, w.head);
  return c.logit_softcap > 0 ? v.softcap(logits, c.logit_softcap) : logits;
}

// The state before the first loop; e [B,S,D] fp32 is what is injected.
Value first_state(Verbs& v, const ModelConfig& c, const Value& e) {
  switch (c.initial_state) {
    case InitialState::input:
      return e;
    case InitialState::zero:
      return v.zeros_like(e);
    case InitialState::random:
      return v.random_like(e);
  }
  return e;
}

// The state after the last loop, or what halting has gathered; x [B,S,D] → [B,S,D] fp32.
Value recurrence(Verbs& v, const ModelConfig& c, const Weights& w, const Value& x,
                 const Exit& exit) {
  const bool mixes = mixes_states(c);
  const LayerId core{Section::core, 0};  // the block
  v.begin_block(core);
  const Value e = c.prelude_norm ? v.norm(x, w.prelude_norm, Precision::state) : v.wide(x);
  const std::vector<Value> prepared = InjectionRule::prepare(v, c, w.core.injection, e);
  const auto visit = [&c](auto& tensors, const auto& f) { CoreWeights::visit(tensors, c, f); };
  const auto text = [&c](Verbs& v, const std::vector<Value>& values, const CoreWeights& w) {
    return step(v, c, w, values);
  };
  // h → h' of one loop; the norm is none of the recomputed piece's weights.
  const auto loop = [&](Verbs& v, const std::vector<Value>& values) {
    const Value after = piece(v, Recompute::loop, values, w.core, visit, text);
    return c.final_norm == FinalNorm::loop ? v.norm(after, w.norm, Precision::state) : after;
  };
  Value h = first_state(v, c, e);
  h = v.repeat(h, [&](const Value& before) {
    std::vector<Value> values = {v.running(before)};
    for (const Value& value : prepared) values.push_back(v.running(value));
    const Value after = loop(v, values);
    if (compares_states(exit.rule)) v.stop_settled(values[0], after, exit);
    if (compares_outputs(exit.rule)) {
      const Value y = mixes ? v.output_if_stopped(after, w.core.halting) : after;
      v.stop_agreed(output_logits(v, c, w, coda(v, c, w, y, false)), exit);
    }
    if (mixes) v.halt(after, w.core.halting);
    if (c.halting == Halting::gate) v.gate(after, w.core.halting);
    v.examine(values[0], after, [&](Verbs& v, const Value& other) {
      std::vector<Value> moved = values;
      moved[0] = other;
      return loop(v, moved);
    });
    const Value merged = v.merge(before, after);
    if (v.wants_output()) v.take_output(coda(v, c, w, merged, false));
    return merged;
  });
  v.leave_state(h, c.final_norm == FinalNorm::twice ? w.norm : Tensor());
  return v.end_block(core, mixes ? v.halted_output() : h);
}

}  // namespace

Output transformer(Verbs& v, const ModelConfig& c, const Weights& w, const Exit& exit,
                   bool last_only) {
  Value x = v.embed(w.embed);  // [B,S,D]
  for (int64_t i = 0; i < c.prelude_layers; ++i) {
    x = own_block(v, c, w.prelude[static_cast<size_t>(i)], x, {Section::prelude, i});
  }
  const Value h = recurrence(v, c, w, x, exit);
  if (compares_outputs(exit.rule)) return {{}, v.agreed_logits()};
  return {coda(v, c, w, h, last_only), {}};
}

}  // namespace mythos
