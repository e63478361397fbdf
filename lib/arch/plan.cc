#include "arch/plan.h"

#include "arch/tensors.h"
#include "base/whole.h"

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

bool routed(const TensorDeclaration& spec) {
  return spec.name.find(".experts.") != std::string::npos;
}

// Whether a token's forward pass multiplies by all of it; lora.scale is a row per loop, and the
// embedding is a look-up except as the tied head.
bool multiplied(const ModelConfig& config, const TensorDeclaration& spec) {
  if (spec.name == "embed.weight") return config.tied_head;
  return spec.shape.size() >= 2 && spec.name != "recurrent.lora.scale.weight";
}

int64_t used_by_token(const ModelConfig& config, const TensorDeclaration& spec) {
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

}  // namespace

Plan make_plan(const ModelConfig& config, int64_t loops, int64_t context_tokens) {
  Plan plan;
  plan.loops = loops > 0 ? loops : config.max_loop_iters;
  plan.context_tokens = context_tokens;
  Whole parameters, active_parameters, macs;
  for (const TensorDeclaration& spec : declared_tensors(config)) {
    if (!is_trained(spec.use)) {
      plan.buffers += spec.numel();
      continue;
    }
    const int64_t times = inside_loop(spec.name) ? plan.loops : 1;
    const int64_t active = used_by_token(config, spec);
    parameters += spec.numel();
    active_parameters += active;
    PartCount& part = part_named(plan.parts, part_of(config, spec.name));
    part.parameters += spec.numel();
    part.active_parameters += active;
    part.times_per_token = times;
    if (multiplied(config, spec)) macs += Whole(times) * active;
  }
  plan.parameters = parameters.value();
  plan.active_parameters = active_parameters.value();
  plan.matrix_macs_per_token = macs.value();
  const Whole pairs = Whole(cache_slots(config, plan.loops)) * config.n_heads *
                      (config.qk_head_dim() + config.value_head_dim()) * context_tokens;
  plan.attention_macs_per_token = pairs.value() / 2;
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
  return (config.prelude_layers + Whole(loops) * config.core_layers + config.coda_layers).value();
}

int64_t cache_bytes(const ModelConfig& config, int64_t loops, int64_t context_tokens,
                    int64_t bytes_per_number) {
  return (Whole(cache_slots(config, loops)) * slot_numbers(config) * context_tokens *
          bytes_per_number)
      .value();
}

int64_t weight_bytes(const ModelConfig& config, bool bf16) {
  Whole bytes;
  for (const TensorDeclaration& spec : declared_tensors(config)) {
    bytes += Whole(spec.numel()) * (bf16 && is_cast(spec.use) ? 2 : 4);
  }
  return bytes.value();
}

int64_t narrow_copy_bytes(const ModelConfig& config) {
  Whole bytes;
  for (const TensorDeclaration& spec : declared_tensors(config)) {
    if (is_cast(spec.use)) bytes += 2 * Whole(spec.numel());
  }
  return bytes.value();
}

}  // namespace mythos
