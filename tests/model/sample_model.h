#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <ostream>
#include <string>
#include <vector>

#include "model/model.h"

namespace mythos {

// A small configuration that differs from the defaults in every size.
inline ModelConfig small_config() {
  ModelConfig c;
  c.vocab_size = 61;
  c.dim = 24;
  c.max_seq_len = 64;
  c.max_loop_iters = 3;
  c.n_heads = 3;
  c.n_kv_heads = 1;
  c.kv_lora_rank = 10;
  c.q_lora_rank = 14;
  c.qk_rope_head_dim = 4;
  c.qk_nope_head_dim = 6;
  c.v_head_dim = 5;
  c.n_experts = 4;
  c.expert_dim = 12;
  c.lora_rank = 2;
  return c;
}

struct NamedConfig {
  std::string name;
  ModelConfig config;
  friend std::ostream& operator<<(std::ostream& out, const NamedConfig& named) {
    return out << named.name;
  }
};

// One configuration for each mechanism.
inline std::vector<NamedConfig> all_mechanisms() {
  std::vector<NamedConfig> out;
  const auto add = [&](const std::string& name, auto&& change) {
    out.push_back({name, small_config()});
    change(out.back().config);
  };
  add("defaults", [](ModelConfig&) {});
  add("gqa", [](ModelConfig& c) { c.attention = Attention::gqa; });
  add("gqa_qk_norm", [](ModelConfig& c) { c.attention = Attention::gqa, c.qk_norm = true; });
  add("gqa_weightless_norm", [](ModelConfig& c) {
    c.attention = Attention::gqa, c.qk_norm = true;
    c.qk_norm_weight = false, c.qk_norm_eps = 0.01;
  });
  add("gqa_wide_heads", [](ModelConfig& c) { c.attention = Attention::gqa, c.head_width = 10; });
  add("gqa_core_heads", [](ModelConfig& c) { c.attention = Attention::gqa, c.core_kv_heads = 3; });
  add("gqa_halves",
      [](ModelConfig& c) { c.attention = Attention::gqa, c.rope_pairing = RopePairing::halves; });
  add("mla_halves", [](ModelConfig& c) { c.rope_pairing = RopePairing::halves; });
  add("gqa_bias_qk",
      [](ModelConfig& c) { c.attention = Attention::gqa, c.attention_bias = AttentionBias::qk; });
  add("gqa_bias_qkv_norm", [](ModelConfig& c) {
    c.attention = Attention::gqa, c.attention_bias = AttentionBias::qkv, c.qk_norm = true;
    c.init_std = 0.1;  // beside biases of 1, norms of smaller numbers hide them
  });
  add("value_embeddings", [](ModelConfig& c) {
    c.attention = Attention::gqa, c.core_kv_heads = 3, c.core_layers = 2;
    c.value_embeddings = "0,2,3";
  });
  add("sandwich", [](ModelConfig& c) {
    // Norms of small numbers bend too much for finite differences, and more so where experts
    // change.
    c.norm_placement = NormPlacement::sandwich, c.ffn = FeedForward::dense, c.init_std = 0.1;
  });
  add("norms_of_sums", [](ModelConfig& c) {
    c.norm_placement = NormPlacement::residual, c.ffn = FeedForward::dense, c.init_std = 0.1;
    c.injection = Injection::linear, c.injection_norm = false, c.core_layers = 2;
    c.prelude_norm = false, c.embedding_scale = 3, c.final_norm = FinalNorm::twice;
  });
  add("relu2_readout", [](ModelConfig& c) {
    c.activation = Activation::relu2, c.ffn = FeedForward::dense, c.core_ffn_dim = 40;
    c.injection = Injection::zoh, c.zoh_gain = ZohGain::euler, c.readout = true;
    c.logit_softcap = 2;
  });
  add("norm_in_the_loop", [](ModelConfig& c) {
    c.norm_placement = NormPlacement::sandwich, c.ffn = FeedForward::dense, c.init_std = 0.1;
    c.injection = Injection::none, c.prelude_norm = false, c.final_norm = FinalNorm::loop;
    c.prelude_layers = 0, c.core_layers = 2, c.coda_layers = 0;
  });
  add("dense", [](ModelConfig& c) { c.ffn = FeedForward::dense; });
  add("no_shared_expert", [](ModelConfig& c) { c.n_shared_experts = 0; });
  add("zoh",
      [](ModelConfig& c) { c.injection = Injection::zoh, c.initial_state = InitialState::zero; });
  add("random_state", [](ModelConfig& c) {
    c.injection = Injection::add, c.initial_state = InitialState::random, c.state_std = 0.7;
  });
  add("linear", [](ModelConfig& c) { c.injection = Injection::linear, c.core_layers = 2; });
  add("gated", [](ModelConfig& c) { c.injection = Injection::gated, c.core_layers = 2; });
  add("add", [](ModelConfig& c) { c.injection = Injection::add; });
  add("plain", [](ModelConfig& c) {
    c.injection = Injection::none, c.max_loop_iters = 1, c.lora_rank = 0;
    c.loop_embedding = LoopEmbedding::none, c.prelude_norm = false;
  });
  add("act", [](ModelConfig& c) { c.halting = Halting::act; });
  add("act_reference", [](ModelConfig& c) { c.halting = Halting::act_reference; });
  add("untied_head", [](ModelConfig& c) { c.tied_head = false; });
  add("no_prelude_no_coda", [](ModelConfig& c) { c.prelude_layers = 0, c.coda_layers = 0; });
  return out;
}

inline Model sample_model(const ModelConfig& config, uint64_t seed = 3,
                          at::Device device = at::kCPU) {
  Model model(config, device);
  model.parameters.initialize(config, seed);
  // What is 0 at first would hide whether it is used at all.
  const at::NoGradGuard no_grad;
  int64_t next = 0;
  for (const Parameters::Item& item : model.parameters.items()) {
    const bool bias = item.name.find(".attn.") != item.name.npos && item.name.ends_with("_bias");
    if (!bias && !item.name.ends_with("value_gate.weight")) continue;
    at::manual_seed(100 + next++);
    Tensor(item.tensor).copy_(at::randn(item.shape));
  }
  return model;
}

inline Tensor sample_ids(const ModelConfig& config, int64_t batch, int64_t length,
                         at::Device device = at::kCPU) {
  at::manual_seed(11);
  return at::randint(config.vocab_size, {batch, length}, at::kLong).to(device);
}

}  // namespace mythos
