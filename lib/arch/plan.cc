#include "arch/plan.h"

#include <algorithm>

#include "arch/cache_layout.h"
#include "arch/halting.h"
#include "arch/tensors.h"
#include "base/whole.h"
#include "config/loop_distribution.h"

namespace mythos {
namespace {

// Whether a token's forward pass multiplies by what it reads of the tensor; the embedding is a
// look-up except as the tied head.
bool is_multiplied(const ModelConfig& config, Use use) {
  switch (use) {
    case Use::product:
    case Use::experts:
    case Use::head:
    case Use::exact_product:
    case Use::fp32_product:
      return true;
    case Use::lookup:
      return config.tied_head;
    case Use::table:
    case Use::loop_table:
    case Use::vector:
    case Use::buffer:
      break;
  }
  return false;
}

int64_t used_by_token(const ModelConfig& config, const TensorDeclaration& tensor) {
  if (tensor.use == Use::experts) {
    return tensor.numel() / config.n_experts * config.n_experts_per_tok;
  }
  const bool looked_up = tensor.use == Use::lookup && !config.tied_head;
  if (looked_up || tensor.use == Use::table) return tensor.shape[1];
  return tensor.numel();
}

int64_t attention_macs(const ModelConfig& config, Whole layers, int64_t context_tokens) {
  const Whole pairs =
      layers * config.n_heads * (config.qk_head_dim() + config.value_head_dim()) * context_tokens;
  return pairs.value() / 2;
}

// Multiply-accumulates of a token from a loop's state to its logits.
double output_macs(const ModelConfig& config, int64_t context_tokens) {
  Whole macs = attention_macs(config, config.coda_layers, context_tokens);
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    const bool reads_state = tensor.name.starts_with("coda.") || tensor.name == "readout.weight" ||
                             tensor.use == Use::head || tensor.use == Use::lookup;
    if (reads_state && is_multiplied(config, tensor.use)) macs += used_by_token(config, tensor);
  }
  return static_cast<double>(macs.value());
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

}  // namespace

Plan make_plan(const ModelConfig& config, int64_t loops, int64_t context_tokens) {
  Plan plan;
  plan.loops = loops > 0 ? loops : config.max_loop_iters;
  plan.context_tokens = context_tokens;
  Whole parameters, active_parameters, macs;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    if (!is_trained(tensor.use)) {
      plan.buffers += tensor.numel();
      continue;
    }
    const int64_t times = tensor.in_loop ? plan.loops : 1;
    const int64_t active = used_by_token(config, tensor);
    parameters += tensor.numel();
    active_parameters += active;
    PartCount& part = part_named(plan.parts, tensor.part);
    part.parameters += tensor.numel();
    part.active_parameters += active;
    part.times_per_token = times;
    if (is_multiplied(config, tensor.use)) macs += Whole(times) * active;
  }
  plan.parameters = parameters.value();
  plan.active_parameters = active_parameters.value();
  plan.matrix_macs_per_token = macs.value();
  plan.attention_macs_per_token =
      attention_macs(config, cache_slots(config, plan.loops), context_tokens);
  return plan;
}

SlotBytes slot_bytes(const ModelConfig& config, Section section) {
  const CacheLayout layout(config, section);
  SlotBytes out;
  out.bf16 = 2 * layout.numbers();
  out.int8 = layout.numbers() + kFloatBytes * layout.scales();
  const bool grouped = config.attention == Attention::gqa;
  const int64_t width = grouped ? config.n_heads * config.head_dim() : config.dim;
  out.mha_bf16 = 2 * 2 * width;
  out.gqa_bf16 = out.mha_bf16 * key_heads_of(config, section) / config.n_heads;
  return out;
}

SlotBytes token_bytes(const ModelConfig& config, int64_t loops) {
  SlotBytes out;
  const auto add = [&](Section section, Whole layers) {
    const SlotBytes slot = slot_bytes(config, section);
    const auto onto = [&](int64_t SlotBytes::*part) {
      out.*part = (out.*part + layers * (slot.*part)).value();
    };
    onto(&SlotBytes::bf16), onto(&SlotBytes::int8);
    onto(&SlotBytes::mha_bf16), onto(&SlotBytes::gqa_bf16);
  };
  add(Section::prelude, config.prelude_layers);
  add(Section::core, Whole(loops) * config.core_layers);
  add(Section::coda, config.coda_layers);
  return out;
}

int64_t recorded_loops(const Config& config, int64_t loops) {
  const int64_t last = backprop_loops(config);
  return last > 0 ? std::min(last, loops) : loops;
}

double training_flops(const Config& config, int64_t loops, int64_t context_tokens) {
  const ObjectivesConfig& o = config.objectives;
  const auto macs_at = [&](int64_t count) {
    const Plan plan = make_plan(config.model, count, context_tokens);
    return static_cast<double>(plan.matrix_macs_per_token) +
           static_cast<double>(plan.attention_macs_per_token);
  };
  const int64_t recorded = recorded_loops(config, loops);
  double flops = 2 * macs_at(loops) + 4 * macs_at(recorded);
  if (wants_loop_outputs(o)) {
    // The pass has one of them anyway, the last loop's unless it mixes the states.
    const auto more = [&](int64_t count) {
      return static_cast<double>(count - (mixes_states(config.model) ? 0 : 1));
    };
    const bool has_gradient = o.per_loop > 0 || o.gate > 0 || o.ponder > 0;
    flops += output_macs(config.model, context_tokens) *
             (2 * more(loops) + (has_gradient ? 4 * more(recorded) : 0));
  }
  // The last loop once more, from a state beside its own.
  if (o.jacobian > 0) flops += 6 * (macs_at(loops + 1) - macs_at(loops));
  return flops;
}

int64_t cache_slots(const ModelConfig& config, int64_t loops) {
  return (config.prelude_layers + Whole(loops) * config.core_layers + config.coda_layers).value();
}

int64_t cache_bytes(const ModelConfig& config, int64_t loops, int64_t context_tokens,
                    int64_t bytes_per_number) {
  const auto numbers = [&](int64_t layers, Section section) {
    return Whole(layers) * CacheLayout(config, section).numbers();
  };
  const Whole token = numbers(config.prelude_layers, Section::prelude) +
                      loops * numbers(config.core_layers, Section::core) +
                      numbers(config.coda_layers, Section::coda);
  return (token * context_tokens * bytes_per_number).value();
}

int64_t weight_bytes(const ModelConfig& config, bool bf16) {
  Whole bytes;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    bytes += Whole(tensor.numel()) * (bf16 && is_cast(tensor.use) ? 2 : 4);
  }
  return bytes.value();
}

int64_t optimizer_bytes(const ModelConfig& config, const TrainConfig& train) {
  Whole bytes;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    if (!is_trained(tensor.use)) continue;
    const bool momentum = train.optimizer == Optimizer::muon && is_hidden_matrix(tensor);
    const int64_t copies = (momentum ? 1 : 2) + (train.ema_decay > 0 ? 1 : 0);
    bytes += Whole(tensor.numel()) * (copies * kFloatBytes);
  }
  return bytes.value();
}

int64_t narrow_copy_bytes(const ModelConfig& config) {
  Whole bytes;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    if (is_cast(tensor.use)) bytes += 2 * Whole(tensor.numel());
  }
  return bytes.value();
}

}  // namespace mythos
