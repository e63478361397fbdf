#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/model_config.h"

namespace mythos {

enum class Init {
  normal,      // N(0, init_std²)
  ones,
  zeros,
  injection,   // 0.1, the gain B of the injection
  identity_tail,  // the last dim columns are the identity, the rest 0: the injected input is e
  halt_bias,   // uniform in ±1/sqrt(dim)
};

// One stored tensor of a model. A model's parameters are this list and nothing else: the model
// allocates it, checkpoints check it, plan sums it.
struct ParameterSpec {
  std::string name;
  std::vector<int64_t> shape;
  Init init = Init::normal;
  bool trained = true;       // false: a buffer, saved but without gradient (router_bias)
  bool matrix = false;       // a matrix product's weight: cast to the compute type, decayed

  int64_t numel() const;
};

// Native names, in a fixed order; E, F, … as in ModelConfig. Layers are prelude.I, core.J, coda.I:
//   embed.weight [V,D]
//   LAYER.attn_norm.weight [D]
//   mla: LAYER.attn.down.weight [q_lora_rank+kv_lora_rank+rope, D] (query latent, key/value latent,
//        shared rope key), .q_norm.weight, .q_up.weight [H·(nope+rope), q_lora_rank] (per head nope
//        then rope), .kv_norm.weight, .kv_up.weight [H·(nope+v), kv_lora_rank], .wo.weight [D, H·v]
//   gqa: LAYER.attn.qkv.weight [(H+2K)·head_dim, D], .q_norm.weight and .k_norm.weight [head_dim]
//        with qk_norm, .wo.weight [D, D]
//   LAYER.ffn_norm.weight [D]
//   dense: LAYER.ffn.gate_up.weight [2F,D], .down.weight [D,F]
//   moe: LAYER.ffn.router.weight [E,D], .router_bias [E] (buffer), .experts.gate_up [E,2F,D],
//        .experts.down [E,D,F], .shared.gate_up.weight [2Fs,D], .shared.down.weight [D,Fs]
//   prelude_norm.weight [D]
//   recurrent.norm.weight [D] (lti: of h+e; linear: of the new state)
//   recurrent.injection: lti log_A [D], log_dt [1], B [D]; zoh log_a [D], dt_bias [D],
//        B.weight [D,D]; linear weight [D,2D] over [h|e]
//   recurrent.lora.down.weight [r,D], .scale.weight [max_loop_iters,r], .B [r,D]
//   recurrent.halt.weight [1,D], .bias [1]
//   norm.weight [D], head.weight [V,D] unless tied
std::vector<ParameterSpec> parameter_specs(const ModelConfig& config);

}  // namespace mythos
