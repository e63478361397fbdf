#include "train/trained_state.h"

#include <ATen/ATen.h>

#include "train/trained_tensors.h"

namespace mythos {

void TrainedState::put_into(CheckpointContent& content, bool alone) const {
  content.optimizer = optimizer.state();
  if (alone || ranks.size() == 1) {
    content.model = named_tensors(parameters);
    const NamedTensors updates = update_state(parameters);
    content.optimizer.insert(content.optimizer.end(), updates.begin(), updates.end());
    return;
  }
  // Low-rank updates are merged, which takes whole weights.
  const bool gathered = sharding.shares_weights() && !parameters.updates().empty();
  if (gathered) sharding.gather();
  NamedTensors weights = named_tensors(parameters), pieces;
  if (sharding.shares_weights() && !gathered) pieces = sharding.take_pieces(weights);
  const NamedTensors expert_weights = experts.take_slices(weights);
  const NamedTensors expert_state = experts.take_slices(content.optimizer);
  content.model = sharding.part_of(weights);
  content.model.insert(content.model.end(), pieces.begin(), pieces.end());
  NamedTensors updates;
  for (const auto& [name, tensor] : sharding.part_of(update_state(parameters))) {
    updates.emplace_back(name, tensor.clone());
  }
  if (gathered) sharding.release();
  if (!sharding.shares_optimizer()) {
    content.optimizer = sharding.part_of(content.optimizer);
  } else if (ranks.rank() != 0) {
    std::erase_if(content.optimizer, [](const auto& item) { return item.first == "step"; });
  }
  content.optimizer.insert(content.optimizer.end(), updates.begin(), updates.end());
  content.sliced = sharding.sliced(content.model);
  content.sliced.merge(sharding.sliced(content.optimizer));
  content.model.insert(content.model.end(), expert_weights.begin(), expert_weights.end());
  content.optimizer.insert(content.optimizer.end(), expert_state.begin(), expert_state.end());
  content.sliced.merge(experts.sliced(expert_weights));
  content.sliced.merge(experts.sliced(expert_state));
}

void TrainedState::load_optimizer(TensorMap& stored, const std::string& origin) const {
  if (!parameters.updates().empty()) {
    sharding.allocate();  // of what is divided these factors alone
    restore_updates(parameters, stored, origin);
    sharding.take();
  }
  const NamedTensors own = optimizer.state();
  optimizer.load(sharding.own_state(experts.own_state(stored, own, origin), own, origin), origin);
}

void TrainedState::load(LoadedCheckpoint& loaded, const std::string& origin) const {
  experts.divide(loaded.model->parameters);
  sharding.fill(parameters, loaded.model->parameters);
  load_optimizer(loaded.optimizer, origin);
  sharding.release();
}

}  // namespace mythos
