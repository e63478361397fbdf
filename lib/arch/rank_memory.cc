#include "arch/rank_memory.h"

#include <algorithm>

#include "arch/expert_share.h"
#include "arch/muon_update.h"
#include "arch/shard_layout.h"
#include "arch/tensors.h"
#include "base/whole.h"

namespace mythos {
namespace {

// The most that blocks (train.layout = "sharded-optimizer") hold for gradients and messages.
// In the backward pass: of those whose turn was before, what they send and its sum; of one its
// gradients as well; of those still to come the gradients of earlier micro-batches. Behind the
// update: sums of gradients, and of two blocks the share that is sent and the weights that come.
Whole shared_gradient_bytes(const Config& config, int64_t ranks, bool accumulates) {
  const std::vector<TensorDeclaration> trained = declared_trained(config.model);
  std::vector<std::string> names;
  Whole to_come = 0, sums = 0;
  for (const TensorDeclaration& tensor : trained) {
    names.push_back(tensor.name);
    const Holders holders = holders_of(config, tensor, ranks);
    to_come += kFloatBytes * Whole(holders.numel);
    sums += kFloatBytes * Whole(holders.numel / holders.ranks);
  }
  const std::vector<ShardedBlock> blocks = blocks_of(names);
  Whole sent = 0, before = 0, backward = 0, update = 0;
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    Whole size = 0, shares = 0, moved = 0;
    for (const size_t i : block->tensors) {
      const Holders holders = holders_of(config, trained[i], ranks);
      const Whole numbers = kFloatBytes * Whole(holders.numel);
      size += numbers;
      if (holders.ranks == 1) continue;  // nothing comes of these
      const int64_t share = numbers.value() / holders.ranks;
      shares += share;
      moved += numbers + share;
    }
    to_come -= size;
    backward = std::max(backward, sent + 2 * size + (accumulates ? to_come : Whole(0)));
    update = std::max(update, before + moved);
    sent += size + shares;
    before = moved;
  }
  return std::max(backward, update + sums);
}

// What sums of gradients hold beside the gradients themselves when activations have gone.
Whole message_bytes(const Config& config, int64_t ranks, const RankState& state,
                    const StepShape& shape) {
  switch (config.train.layout) {
    case Layout::replicated:
      return state.gradients;  // a message for each bucket
    case Layout::sharded_optimizer:
      return shared_gradient_bytes(config, ranks, shape.accumulates) - state.gradients;
    case Layout::fully_sharded:
      break;
  }
  return 0;
}

// What micro-batches keep for the backward pass because experts are elsewhere.
Whole exchanged_bytes(const Config& config, const StepShape& shape) {
  const Whole row = Whole(shape.batch_size) * shape.seq_len * exchanged_rows(config) *
                    config.model.dim * shape.bytes_per_number;
  const Whole layers = shape.recompute == Recompute::block ? 1 : config.model.core_layers;
  const int64_t loops =
      (shape.loops ? shape.loops : config.model.max_loop_iters) + (shape.jacobian ? 1 : 0);
  return row * layers * (shape.recompute == Recompute::none ? loops : 1);
}

// What forward and backward pass hold, and the sums of gradients.
RankMemory passes_memory(const Config& config, int64_t ranks, const StepShape& shape) {
  RankMemory memory;
  memory.state = rank_state(config, ranks);
  if (config.train.layout == Layout::fully_sharded && ranks > 1) {
    const ShardedPassBytes pass = sharded_pass_bytes(config, ranks, shape);
    memory.pass_weights = pass.blocks;
    memory.activations = (Whole(pass.activations) + exchanged_bytes(config, shape)).value();
    return memory;
  }
  if (shape.bytes_per_number < kFloatBytes) {
    memory.copies =
        narrow_copy_bytes(config.model) - shape.bytes_per_number * numbers_elsewhere(config, ranks);
  }
  memory.activations =
      (Whole(activation_bytes(config.model, shape)) + exchanged_bytes(config, shape)).value();
  if (ranks > 1) {
    const Whole room = Whole(memory.copies) + memory.activations;
    memory.messages =
        std::max(Whole(0), message_bytes(config, ranks, memory.state, shape) - room).value();
  }
  return memory;
}

}  // namespace

int64_t RankMemory::total() const {
  return (Whole(state.weights) + state.gradients + state.optimizer + pass_weights + copies +
          activations + messages + update)
      .value();
}

RankMemory rank_memory(const Config& config, int64_t ranks, const StepShape& shape) {
  RankMemory memory = passes_memory(config, ranks, shape);
  Whole room = Whole(memory.pass_weights) + memory.copies + memory.activations + memory.messages;
  if (config.train.layout == Layout::sharded_optimizer) {
    room += memory.state.gradients - memory.state.gradients / ranks;  // only their sums are left
  }
  memory.update = std::max(Whole(0), muon_update_bytes(config, ranks) - room).value();
  return memory;
}

StepShape rank_step_shape(const Config& config, int64_t ranks, int64_t loops,
                          int64_t bytes_per_number) {
  const TrainConfig& train = config.train;
  const int64_t sequences = train.batch_size * train.grad_accum / ranks;
  StepShape shape;
  shape.loops = recorded_loops(config, loops);
  shape.batch_size = std::min(train.batch_size, sequences);
  shape.seq_len = train.seq_len;
  shape.bytes_per_number = bytes_per_number;
  shape.recompute = train.recompute;
  shape.accumulates = sequences > shape.batch_size;
  shape.loop_outputs = wants_loop_outputs(config.objectives);
  shape.jacobian = config.objectives.jacobian > 0;
  shape.expert_ranks = ranks > 1 ? train.expert_ranks : 1;
  return shape;
}

}  // namespace mythos
