#include "arch/communication.h"

#include <algorithm>

#include "arch/plan.h"
#include "arch/shard_layout.h"
#include "arch/tensors.h"
#include "config/loop_distribution.h"
#include "config/objective_terms.h"

namespace mythos {
namespace {

std::vector<TensorDeclaration> trained_tensors_of(const ModelConfig& config) {
  std::vector<TensorDeclaration> trained = declared_tensors(config);
  std::erase_if(trained, [](const TensorDeclaration& tensor) { return !is_trained(tensor.use); });
  return trained;
}

int64_t sum_bytes(int64_t bytes, int64_t ranks) {
  return 2 * (ranks - 1) * bytes / ranks;
}

// The shares of a rank in all blocks, in numbers.
int64_t share_of(const Config& config, int64_t ranks) {
  const std::vector<TensorDeclaration> trained = trained_tensors_of(config.model);
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : trained) names.push_back(tensor.name);
  int64_t share = 0;
  for (const ShardedBlock& block : blocks_of(names)) {
    std::vector<ShardedTensor> tensors;
    for (const size_t i : block.tensors) {
      tensors.push_back({names[i], trained[i].numel(), shard_unit(trained[i], config.train)});
    }
    share += divide(tensors, ranks).share;
  }
  return share;
}

// Sums in buckets of about train.bucket_bytes, from the last tensor to the first.
int64_t bucket_sums(const Config& config, int64_t ranks) {
  int64_t sent = 0, bytes = 0;
  const std::vector<TensorDeclaration> trained = trained_tensors_of(config.model);
  for (auto tensor = trained.rbegin(); tensor != trained.rend(); ++tensor) {
    if (bytes >= config.train.bucket_bytes) {
      sent += sum_bytes(bytes, ranks);
      bytes = 0;
    }
    bytes += kFloatBytes * tensor->numel();
  }
  return sent + sum_bytes(bytes, ranks);
}

int64_t agreed_bytes(const Config& config, int64_t ranks) {
  const ModelConfig& model = config.model;
  int64_t numbers = 1 + static_cast<int64_t>(objective_terms(config.objectives).size());
  if (model.halting != Halting::none) numbers += loop_distribution(config.train, model).max;
  if (model.ffn == FeedForward::moe && config.train.balance_rate > 0) {
    numbers += model.core_layers * model.n_experts;
  }
  constexpr int64_t kTargetsAndWishes = 5;
  return sum_bytes(kIndexBytes * kTargetsAndWishes, ranks) +
         sum_bytes(kIndexBytes * numbers, ranks);
}

}  // namespace

StepVolume step_volume(const Config& config, int64_t ranks, int64_t passes) {
  StepVolume volume;
  if (ranks <= 1) return volume;
  volume.agreement_sum = agreed_bytes(config, ranks);
  const Layout layout = config.train.layout;
  if (layout == Layout::replicated) {
    volume.sum = bucket_sums(config, ranks);
    return volume;
  }
  const int64_t times = layout == Layout::fully_sharded ? passes : 1;
  const int64_t bytes = kFloatBytes * share_of(config, ranks) * (ranks - 1);
  volume.reduce_scatter = volume.all_gather = times * bytes;
  // The norm and, fully sharded, the number of passes.
  volume.agreement_all_gather =
      kIndexBytes * (ranks - 1) * (layout == Layout::fully_sharded ? 2 : 1);
  return volume;
}

RankState rank_state(const Config& config, int64_t ranks) {
  const int64_t weights = weight_bytes(config.model, /*bf16=*/false);
  int64_t trained = 0;
  for (const TensorDeclaration& tensor : trained_tensors_of(config.model)) {
    trained += kFloatBytes * tensor.numel();
  }
  const int64_t optimizer = optimizer_bytes(config.model, config.train);
  if (ranks <= 1 || config.train.layout == Layout::replicated) {
    return {weights, trained, optimizer};
  }
  const int64_t share = kFloatBytes * share_of(config, ranks);
  const auto shared_optimizer = static_cast<int64_t>(
      static_cast<double>(optimizer) * static_cast<double>(share) / static_cast<double>(trained));
  if (config.train.layout == Layout::sharded_optimizer) return {weights, trained, shared_optimizer};
  return {weights - trained + share, share, shared_optimizer};
}

}  // namespace mythos
