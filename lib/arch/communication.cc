#include "arch/communication.h"

#include <algorithm>

#include "arch/expert_share.h"
#include "arch/plan.h"
#include "arch/shard_layout.h"
#include "arch/tensors.h"
#include "base/whole.h"
#include "config/loop_distribution.h"
#include "config/objective_terms.h"

namespace mythos {
namespace {

int64_t sum_bytes(int64_t bytes, int64_t ranks) {
  return 2 * (ranks - 1) * bytes / ranks;
}

int64_t share_of(const Config& config, int64_t ranks) {
  int64_t all = 0;
  for (const std::vector<BlockPart>& parts : divided_blocks(config, ranks).parts) {
    for (const BlockPart& part : parts) all += part.layout.share;
  }
  return all;
}

// Sums in buckets of about train.bucket_bytes, in the order of backward_order(), of the tensors
// that so many of `ranks` ranks hold.
int64_t bucket_sums(const Config& config, int64_t ranks, int64_t holders) {
  int64_t sent = 0, bytes = 0;
  std::vector<TensorDeclaration> trained = declared_trained(config.model);
  std::erase_if(trained, [&](const auto& tensor) {
    return holders_of(config, tensor, ranks).ranks != holders;
  });
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : trained) names.push_back(tensor.name);
  for (const size_t i : backward_order(names)) {
    if (bytes >= config.train.bucket_bytes) {
      sent += sum_bytes(bytes, holders);
      bytes = 0;
    }
    bytes += kFloatBytes * holders_of(config, trained[i], ranks).numel;
  }
  return sent + sum_bytes(bytes, holders);
}

int64_t agreed_bytes(const Config& config, int64_t ranks) {
  const ModelConfig& model = config.model;
  int64_t numbers = 1 + static_cast<int64_t>(objective_terms(config.objectives).size());
  // Positions by the loop in which they halted, and the loops that they ran.
  if (model.halting != Halting::none) numbers += loop_distribution(config.train, model).max + 1;
  if (model.ffn == FeedForward::moe) {
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
    const int64_t parts = config.train.expert_ranks;
    volume.sum = bucket_sums(config, ranks, ranks);
    if (parts > 1) {
      volume.sum += bucket_sums(config, ranks, ranks / parts);
      volume.agreement_all_gather = 2 * kIndexBytes * (ranks - 1);  // the norm
    }
    return volume;
  }
  const DividedBlocks all = divided_blocks(config, ranks);
  for (const BlockCall& call : block_calls(all.blocks, config)) {
    // With whole weights a step sums once and gathers once, after the update.
    if (layout != Layout::fully_sharded && call.gathers) continue;
    const int64_t times = layout == Layout::fully_sharded ? passes : 1;
    for (const BlockPart& part : all.parts[call.block]) {
      const int64_t bytes = times * kFloatBytes * part.layout.share * (part.ranks - 1);
      (call.gathers ? volume.all_gather : volume.reduce_scatter) += bytes;
    }
  }
  if (layout != Layout::fully_sharded) volume.all_gather = volume.reduce_scatter;
  // The norm and, fully sharded, the number of passes.
  volume.agreement_all_gather =
      kIndexBytes * (ranks - 1) * (layout == Layout::fully_sharded ? 2 : 1);
  return volume;
}

int64_t exchange_bytes(const Config& config, int64_t ranks, int64_t loops, int64_t passes,
                       int64_t tokens, int64_t bytes_per_number) {
  const ModelConfig& model = config.model;
  const int64_t parts = ranks > 1 ? config.train.expert_ranks : 1;
  if (parts == 1) return 0;
  const int64_t recorded = recorded_loops(config, loops);
  const bool again = config.train.recompute != Recompute::none;
  const int64_t forward = loops + (again ? recorded : 0);
  const Whole rows = Whole(tokens) * model.n_experts_per_tok * (2 * (forward + recorded));
  const Whole counts = Whole(passes) * forward * (model.n_experts / parts * kIndexBytes);
  const Whole bytes = (rows * model.dim * bytes_per_number).value() / parts;
  return ((bytes + counts) * (parts - 1) * model.core_layers).value();
}

RankState rank_state(const Config& config, int64_t ranks) {
  // Bytes of the experts that other ranks hold.
  const int64_t elsewhere = kFloatBytes * numbers_elsewhere(config, ranks);
  const int64_t weights = weight_bytes(config.model, /*bf16=*/false) - elsewhere;
  int64_t trained = 0;
  for (const TensorDeclaration& tensor : declared_trained(config.model)) {
    trained += kFloatBytes * tensor.numel();
  }
  const int64_t optimizer = optimizer_bytes(config.model, config.train);
  if (ranks <= 1 || config.train.layout == Layout::replicated) {
    // Copies of a number of experts that the optimizer keeps.
    const int64_t copies =
        (config.train.optimizer == Optimizer::muon ? 1 : 2) + (config.train.ema_decay > 0 ? 1 : 0);
    return {weights, trained - elsewhere, optimizer - copies * elsewhere};
  }
  const int64_t share = kFloatBytes * share_of(config, ranks);
  const auto shared_optimizer = static_cast<int64_t>(
      static_cast<double>(optimizer) * static_cast<double>(share) / static_cast<double>(trained));
  const int64_t gradients = trained - elsewhere;
  if (config.train.layout == Layout::sharded_optimizer) {
    return {weights, gradients, shared_optimizer};
  }
  return {weights - gradients + share, share, shared_optimizer};
}

}  // namespace mythos
