#include "model/transformer.h"

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

// Grouped-query attention (Ainslie et al. 2023) of normalised x [B,S,D] → [B,S,D].
Value grouped_attention(Verbs& v, const ModelConfig& c,
                        const GroupedAttentionTensors<Tensor, Matrix>& w, const Value& x,
                        const LayerId& layer) {
  const int64_t H = c.n_heads, K = c.n_kv_heads, d = c.head_dim();
  const auto qkv = v.split(v.product(x, w.qkv), {H * d, K * d, K * d});
  Value q = v.heads(v.wanted(qkv[0]), H), k = v.heads(qkv[1], K);
  if (c.qk_norm) {
    q = v.norm(q, w.q_norm);
    k = v.norm(k, w.k_norm);
  }
  const Value values =  // [B,S,H·d]
      v.attend_grouped(v.rope(q), v.rope(k), v.heads(qkv[2], K), layer);
  return v.product(values, w.wo);
}

// SwiGLU (Shazeer 2020) of x [B,S,D] → [B,S,D].
Value dense(Verbs& v, const DenseTensors<Tensor, Matrix>& w, const Value& x) {
  return v.product(v.gated_product(x, w.gate_up), w.down);
}

// A mixture of routed and shared experts (DeepSeekMoE, Dai et al. 2024) of x [B,S,D] → [B,S,D].
Value mixture(Verbs& v, const MixtureTensors<Tensor, Matrix>& w, const Value& x,
              const LayerId& layer) {
  const Value scores = v.product(v.wide(x), w.router);  // [B,S,E]
  const Value shared = w.shared.gate_up.defined() ? dense(v, w.shared, x) : Value();
  return v.experts(x, v.route(scores, w.router_bias, layer), w.gate_up, w.down, shared);
}

// Transformer block: x += attention(norm x); x += feed_forward(norm x), with sandwich norms around
// both sublayers.
Value block(Verbs& v, const ModelConfig& c, FeedForward ffn, const LayerWeights& w, const Value& x,
            const LayerId& layer) {
  const bool sandwich = c.norm_placement == NormPlacement::sandwich;
  const auto text = [&c, ffn, layer, sandwich](Verbs& v, const std::vector<Value>& in,
                                               const LayerWeights& w) {
    const Value normed = v.norm(in[0], w.attn_norm);
    Value mixed = c.attention == Attention::mla ? latent_attention(v, c, w.mla, normed, layer)
                                                : grouped_attention(v, c, w.gqa, normed, layer);
    if (sandwich) mixed = v.norm(mixed, w.attn_out_norm);
    const auto [sum, inner] = v.add_norm(v.wanted(in[0]), mixed, {}, w.ffn_norm);
    Value fed =
        ffn == FeedForward::moe ? mixture(v, w.moe, inner, layer) : dense(v, w.dense, inner);
    if (sandwich) fed = v.norm(fed, w.ffn_out_norm);
    return v.add(sum, fed);
  };
  const auto visit = [&c, ffn](auto& tensors, const auto& f) {
    LayerWeights::visit(tensors, c, ffn, f);
  };
  return piece(v, Recompute::block, {x}, w, visit, text);
}

// One step h → h' of the recurrence; values: h, then what the injection has prepared.
Value step(Verbs& v, const ModelConfig& c, const CoreWeights& w, const std::vector<Value>& values) {
  const InjectionRule injection(v, c, w.injection, {values.begin() + 1, values.end()});
  const Value& h = values[0];
  Value x = injection.enter(h);
  for (int64_t i = 0; i < c.core_layers; ++i) {
    x = block(v, c, c.ffn, w.layers[static_cast<size_t>(i)], x, {Section::core, i});
  }
  if (c.lora_rank > 0) {
    x = v.add_low_rank(x, w.adapter.down, v.at_loop(w.adapter.scale), w.adapter.up);
  }
  return injection.leave(h, x);
}

// Coda and final norm of x [B,S,D] in the compute type.
Value coda(Verbs& v, const ModelConfig& c, const Weights& w, Value x, bool last_only) {
  for (int64_t i = 0; i < c.coda_layers; ++i) {
    if (last_only && i + 1 == c.coda_layers) v.want_last();
    x = block(v, c, FeedForward::dense, w.coda[static_cast<size_t>(i)], x, {Section::coda, i});
  }
  if (last_only && c.coda_layers == 0) {
    v.want_last();
    x = v.wanted(x);
  }
  return v.norm(x, w.norm);
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
  const Value e = c.prelude_norm ? v.norm(x, w.prelude_norm, Precision::state) : v.wide(x);
  const std::vector<Value> prepared = InjectionRule::prepare(v, c, w.core.injection, e);
  const auto visit = [&c](auto& tensors, const auto& f) { CoreWeights::visit(tensors, c, f); };
  const auto text = [&c](Verbs& v, const std::vector<Value>& values, const CoreWeights& w) {
    return step(v, c, w, values);
  };
  Value h = first_state(v, c, e);
  h = v.repeat(h, [&](const Value& before) {
    std::vector<Value> values = {v.running(before)};
    for (const Value& value : prepared) values.push_back(v.running(value));
    const Value after = piece(v, Recompute::loop, values, w.core, visit, text);
    if (exit.rule == ExitRule::latent) v.stop_settled(values[0], after, exit.threshold);
    if (exit.rule == ExitRule::kl) {
      const Value y = mixes ? v.output_if_stopped(after, w.core.halting) : after;
      v.stop_agreed(v.product(coda(v, c, w, v.narrow(y), false), w.head), exit.threshold);
    }
    if (mixes) v.halt(after, w.core.halting);
    if (c.halting == Halting::gate) v.gate(after, w.core.halting);
    v.examine(values[0], after, [&](Verbs& v, const Value& other) {
      std::vector<Value> moved = values;
      moved[0] = other;
      return piece(v, Recompute::loop, moved, w.core, visit, text);
    });
    const Value merged = v.merge(before, after);
    if (v.wants_output()) v.take_output(coda(v, c, w, v.narrow(merged), false));
    return merged;
  });
  return mixes ? v.halted_output() : h;
}

}  // namespace

Output transformer(Verbs& v, const ModelConfig& c, const Weights& w, const Exit& exit,
                   bool last_only) {
  Value x = v.embed(w.embed);  // [B,S,D]
  for (int64_t i = 0; i < c.prelude_layers; ++i) {
    x = block(v, c, FeedForward::dense, w.prelude[static_cast<size_t>(i)], x,
              {Section::prelude, i});
  }
  const Value h = recurrence(v, c, w, x, exit);
  if (exit.rule == ExitRule::kl) return {{}, v.agreed_logits()};
  return {coda(v, c, w, v.narrow(h), last_only), {}};
}

}  // namespace mythos
