#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "arch/section.h"
#include "config/config.h"

namespace mythos {

// Parameters of one part of the model. `active` counts those that take part in one token's forward
// pass through that part once (a routed layer uses k of its E experts).
struct PartCount {
  std::string name;  // "embedding", "prelude attention", "core experts", …
  int64_t parameters = 0;
  int64_t active_parameters = 0;
  int64_t times_per_token = 1;  // T for the parts inside the loop
};

// What a model costs, from its configuration alone; allocates nothing. Everything here fails
// (usage) where a number would need more than 63 bits.
struct Plan {
  std::vector<PartCount> parts;
  int64_t parameters = 0;         // trained; a tied head is counted once
  int64_t buffers = 0;            // router biases: saved, not trained by gradient
  int64_t active_parameters = 0;  // used by a token at least once
  int64_t loops = 0;
  // Multiply-accumulates of one token's forward pass: matrix products, and attention scores and
  // values over a mean context of context_tokens/2.
  int64_t matrix_macs_per_token = 0;
  int64_t attention_macs_per_token = 0;
  int64_t context_tokens = 0;
};

// `loops` of 0 means the configuration's max_loop_iters.
Plan make_plan(const ModelConfig& config, int64_t loops, int64_t context_tokens);

// FLOPs of forward and backward pass for one token at `loops` loops, without recomputation: two for
// each multiply-accumulate of the forward pass, and four for each that gradients flow through,
// which is all but those of the loops before the last train.backprop_loops. Objectives that read
// every loop's output add coda and head of the other loops, and a Jacobian one loop more.
double training_flops(const Config& config, int64_t loops, int64_t context_tokens);
// The loops out of `loops` that gradients flow through.
int64_t recorded_loops(const Config& config, int64_t loops);

// What one token adds to slots of the key/value cache.
struct SlotBytes {
  int64_t bf16 = 0;
  int64_t int8 = 0;  // with the fp32 scales of KvCache: 2 (mla), or 2 for each key head (gqa)
  // What attention of the same width would add in bf16: multi-head 2·dim numbers, grouped-query
  // with K key heads 2·dim·K/n_heads; gqa with a head_dim has n_heads·head_dim for dim.
  int64_t mha_bf16 = 0, gqa_bf16 = 0;
};
// To one slot of the section, and to all slots.
SlotBytes slot_bytes(const ModelConfig& config, Section section = Section::core);
SlotBytes token_bytes(const ModelConfig& config, int64_t loops);

// Slots of one sequence's cache: one for each prelude layer, loop × core layer and coda layer.
// Where the loops share (KvCache) they are those of 1 loop.
int64_t cache_slots(const ModelConfig& config, int64_t loops);

// Bytes of the key/value cache of one sequence. MLA keeps kv_lora_rank + qk_rope_head_dim numbers
// per token and slot, GQA 2·head_dim for each key head.
int64_t cache_bytes(const ModelConfig& config, int64_t loops, int64_t context_tokens,
                    int64_t bytes_per_number);
// Bytes of the stored values: in fp32, or with matrices in bf16 as computing needs them.
int64_t weight_bytes(const ModelConfig& config, bool bf16);
// Bytes of the optimizer's state in fp32: two moments of a parameter that AdamW updates, the
// momentum of one that Muon updates, and averaged weights if they are kept.
int64_t optimizer_bytes(const ModelConfig& config, const TrainConfig& train);
// Bytes of the bf16 copies of the matrices that training in bf16 makes of its fp32 weights.
int64_t narrow_copy_bytes(const ModelConfig& config);

// One micro-batch of training.
struct StepShape {
  int64_t loops = 0;  // 0 means the configuration's max_loop_iters
  int64_t batch_size = 1, seq_len = 1;
  int64_t bytes_per_number = 4;  // of the compute type
  Recompute recompute = Recompute::none;
  bool accumulates = false;   // onto the gradients of earlier micro-batches
  bool loop_outputs = false;  // every loop's state goes through coda and head, for objectives
  bool jacobian = false;      // the last loop runs a second time beside itself, for an objective
  int64_t expert_ranks = 1;   // of which each has gradients of its experts alone
};

// Whether a term of the objective is made of the outputs of all loops (train/objectives.h).
inline bool wants_loop_outputs(const ObjectivesConfig& o) {
  return o.per_loop > 0 || o.gate > 0 || o.gate_gain > 0 || o.ponder > 0;
}

// What forward and backward pass of a micro-batch hold at their peak beside weights, optimizer
// state and the gradients of all parameters: what is kept for the backward pass, and the work space
// of its largest piece. Gradients that are still to come at that time make room for activations.
int64_t activation_bytes(const ModelConfig& config, const StepShape& shape);

// What they hold at their peak beside a rank's shares where ranks share the weights (train.layout =
// fully-sharded). Shares of gradients that are still to come at that time make room.
struct ShardedPassBytes {
  int64_t activations = 0;
  // Whole weights of the blocks that are there or under way, in fp32 and the compute type, and
  // gradients until they are summed.
  int64_t blocks = 0;
};
ShardedPassBytes sharded_pass_bytes(const Config& config, int64_t ranks, const StepShape& shape);

}  // namespace mythos
