#include "config/plan.h"

#include <algorithm>

#include "config/parameters.h"

namespace mythos {
namespace {

bool inside_loop(const std::string& name) {
  return name.starts_with("core.") || name.starts_with("recurrent.");
}

// The part that a parameter belongs to; the norm before a sublayer counts with it.
std::string part_of(const ModelConfig& config, const std::string& name) {
  const std::string head = name.substr(0, name.find('.'));
  if (head == "embed") return "embedding";
  if (head == "head") return "output head";
  if (head == "norm" || head == "prelude_norm") return "norms";
  if (head == "recurrent") {
    if (name.find(".lora.") != std::string::npos) return "loop LoRA";
    return name.find(".halt.") != std::string::npos ? "halting" : "injection";
  }
  if (name.find(".attn") != std::string::npos) return head + " attention";
  if (name.find(".router") != std::string::npos) return head + " router";
  if (name.find(".experts.") != std::string::npos) return head + " routed experts";
  if (name.find(".shared.") != std::string::npos) return head + " shared experts";
  const bool moe = head == "core" && config.ffn == FeedForward::moe;
  return head + (moe ? " router" : " feed-forward");
}

bool routed(const ParameterSpec& spec) {
  return spec.name.find(".experts.") != std::string::npos;
}

// Whether a token's forward pass multiplies by all of it; lora.scale is a row per loop, and the
// embedding is a look-up except as the tied head.
bool multiplied(const ModelConfig& config, const ParameterSpec& spec) {
  if (spec.name == "embed.weight") return config.tied_head;
  return spec.shape.size() >= 2 && spec.name != "recurrent.lora.scale.weight";
}

int64_t used_by_token(const ModelConfig& config, const ParameterSpec& spec) {
  if (routed(spec)) return spec.numel() / config.n_experts * config.n_experts_per_tok;
  if (spec.name == "embed.weight" && !config.tied_head) return config.dim;
  return spec.numel();
}

PartCount& part_named(std::vector<PartCount>& parts, const std::string& name) {
  for (PartCount& part : parts) {
    if (part.name == name) return part;
  }
  PartCount part;
  part.name = name;
  parts.push_back(part);
  return parts.back();
}

// Numbers that one token adds to one slot of the cache.
int64_t slot_numbers(const ModelConfig& c) {
  return c.attention == Attention::mla ? c.kv_lora_rank + c.qk_rope_head_dim
                                       : 2 * c.n_kv_heads * c.head_dim();
}

// Numbers that one token keeps for the backward pass of one layer's attention: normalised input,
// queries, keys, values (and latents), and the heads' output.
int64_t attention_numbers(const ModelConfig& c) {
  const int64_t output = c.n_heads * c.value_head_dim();
  if (c.attention == Attention::gqa) {
    return c.dim + (c.n_heads + 2 * c.n_kv_heads) * c.head_dim() + output;
  }
  const int64_t latents = 2 * (c.q_lora_rank + c.kv_lora_rank) + c.qk_rope_head_dim;
  return c.dim + latents + c.n_heads * (2 * c.qk_head_dim() + c.v_head_dim) + output;
}

// The same of its feed-forward: normalised input, gate, up and their product; experts also keep
// their copy of the input and their output, which is weighted.
int64_t feed_forward_numbers(const ModelConfig& c, FeedForward kind) {
  if (kind == FeedForward::dense) return c.dim + 3 * c.dense_ffn_dim();
  return c.dim + c.n_experts + c.n_experts_per_tok * (2 * c.dim + 3 * c.expert_dim) +
         3 * c.shared_ffn_dim();
}

}  // namespace

Plan make_plan(const ModelConfig& config, int64_t loops, int64_t context_tokens) {
  Plan plan;
  plan.loops = loops > 0 ? loops : config.max_loop_iters;
  plan.context_tokens = context_tokens;
  for (const ParameterSpec& spec : parameter_specs(config)) {
    if (!spec.trained) {
      plan.buffers += spec.numel();
      continue;
    }
    const int64_t times = inside_loop(spec.name) ? plan.loops : 1;
    const int64_t active = used_by_token(config, spec);
    PartCount& part = part_named(plan.parts, part_of(config, spec.name));
    part.parameters += spec.numel();
    part.active_parameters += active;
    part.times_per_token = times;
    plan.parameters += spec.numel();
    plan.active_parameters += active;
    if (multiplied(config, spec)) plan.matrix_macs_per_token += times * active;
  }
  plan.attention_macs_per_token = cache_slots(config, plan.loops) * config.n_heads *
                                  (config.qk_head_dim() + config.value_head_dim()) *
                                  context_tokens / 2;
  return plan;
}

SlotBytes slot_bytes(const ModelConfig& config) {
  const int64_t numbers = slot_numbers(config);
  const int64_t scales = config.attention == Attention::mla ? 2 : 2 * config.n_kv_heads;
  SlotBytes out;
  out.bf16 = 2 * numbers;
  out.int8 = numbers + 4 * scales;
  out.mha_bf16 = 2 * 2 * config.dim;
  out.gqa_bf16 = out.mha_bf16 * config.n_kv_heads / config.n_heads;
  return out;
}

int64_t cache_slots(const ModelConfig& config, int64_t loops) {
  return config.prelude_layers + loops * config.core_layers + config.coda_layers;
}

int64_t cache_bytes(const ModelConfig& config, int64_t loops, int64_t context_tokens,
                    int64_t bytes_per_number) {
  return cache_slots(config, loops) * slot_numbers(config) * context_tokens * bytes_per_number;
}

int64_t weight_bytes(const ModelConfig& config, bool bf16) {
  int64_t bytes = 0;
  for (const ParameterSpec& spec : parameter_specs(config)) {
    bytes += spec.numel() * (bf16 && spec.matrix ? 2 : 4);
  }
  return bytes;
}

int64_t activation_bytes(const ModelConfig& config, int64_t loops, int64_t batch_size,
                         int64_t seq_len, int64_t bytes_per_number, Recompute recompute) {
  // Of one token. In fp32: the residual before each sublayer; per loop the state, the injected sum
  // and the LoRA's branch.
  const int64_t residuals = 2 * config.dim * 4, state = config.dim * 4, loop_extra = 3 * state;
  const auto layer = [&](FeedForward kind) {
    return (attention_numbers(config) + feed_forward_numbers(config, kind)) * bytes_per_number +
           residuals;
  };
  const int64_t dense = layer(FeedForward::dense), core = layer(config.ffn);
  const int64_t outer = config.prelude_layers + config.coda_layers;
  const int64_t loop = config.core_layers * core + loop_extra;
  int64_t kept = outer * dense + loops * loop;
  if (recompute == Recompute::loop) kept = outer * dense + loops * state + loop;
  if (recompute == Recompute::block) {
    const int64_t input = config.dim * bytes_per_number;
    kept = cache_slots(config, loops) * input + loops * loop_extra + std::max(dense, core);
  }
  const int64_t tokens = batch_size * seq_len;
  constexpr int64_t kLogits = 1 << 24;  // formed at a time
  return tokens * kept + std::min(tokens * config.vocab_size, kLogits) * bytes_per_number;
}

}  // namespace mythos
