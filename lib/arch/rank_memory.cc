#include "arch/rank_memory.h"

#include <algorithm>

#include "arch/expert_share.h"
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
  std::vector<TensorDeclaration> trained = declared_tensors(config.model);
  std::erase_if(trained, [](const TensorDeclaration& tensor) { return !is_trained(tensor.use); });
  std::vector<std::string> names;
  Whole all = 0;
  for (const TensorDeclaration& tensor : trained) {
    names.push_back(tensor.name);
    all += kFloatBytes * Whole(tensor.numel());
  }
  const auto shared = [&](Whole whole) { return whole + whole.value() / ranks; };
  const std::vector<ShardedBlock> blocks = blocks_of(names);
  Whole sent = 0, to_come = all, before = 0, backward = 0, update = 0;
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    Whole size = 0;
    for (const size_t i : block->tensors) size += kFloatBytes * Whole(trained[i].numel());
    to_come -= size;
    backward = std::max(backward, sent + 2 * size + (accumulates ? to_come : Whole(0)));
    update = std::max(update, shared(before + size));
    sent += shared(size);
    before = size;
  }
  return std::max(backward, update + all.value() / ranks);
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
  const int64_t loops = shape.loops ? shape.loops : config.model.max_loop_iters;
  return row * layers * (shape.recompute == Recompute::none ? loops : 1);
}

}  // namespace

int64_t RankMemory::total() const {
  return (Whole(state.weights) + state.gradients + state.optimizer + pass_weights + copies +
          activations + messages)
      .value();
}

RankMemory rank_memory(const Config& config, int64_t ranks, const StepShape& shape) {
  RankMemory memory;
  memory.state = rank_state(config, ranks);
  if (config.train.layout == Layout::fully_sharded && ranks > 1) {
    const ShardedPassBytes pass = sharded_pass_bytes(config, ranks, shape);
    memory.pass_weights = pass.blocks;
    memory.activations = pass.activations;
    return memory;
  }
  const int64_t elsewhere = numbers_elsewhere(config, ranks);
  if (shape.bytes_per_number < kFloatBytes) {
    memory.copies = narrow_copy_bytes(config.model) - shape.bytes_per_number * elsewhere;
  }
  memory.activations =
      (Whole(activation_bytes(config.model, shape)) + exchanged_bytes(config, shape)).value();
  if (ranks > 1) {
    const Whole room = Whole(memory.copies) + memory.activations + kFloatBytes * Whole(elsewhere);
    memory.messages =
        std::max(Whole(0), message_bytes(config, ranks, memory.state, shape) - room).value();
  }
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
  return shape;
}

}  // namespace mythos
