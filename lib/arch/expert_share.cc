#include "arch/expert_share.h"

#include "arch/tensors.h"
#include "base/error.h"
#include "base/format.h"
#include "base/whole.h"

namespace mythos {

ExpertShare expert_share(const Config& config, int64_t rank) {
  const int64_t parts = config.train.expert_ranks, count = config.model.n_experts / parts;
  return {rank % parts * count, count};
}

Holders holders_of(const Config& config, const TensorDeclaration& tensor, int64_t ranks) {
  const int64_t parts = ranks > 1 && is_of_experts(tensor) ? config.train.expert_ranks : 1;
  return {ranks / parts, tensor.numel() / parts};
}

ExpertShare expert_share(const ModelConfig& model, const ExpertDivision& division) {
  const int64_t ranks = division.ranks;
  if (model.ffn != FeedForward::moe) {
    fail(ErrorKind::usage,
         strprintf("--expert-ranks %d: the model has no experts to divide (model.ffn = \"%s\").",
                   ranks, enum_name(model.ffn)),
         "Leave out --expert-ranks");
  }
  if (model.n_experts % ranks != 0) {
    fail(ErrorKind::usage,
         strprintf("--expert-ranks %d does not divide the model's %d experts (model.n_experts).",
                   ranks, model.n_experts),
         "Start as many processes as divide them");
  }
  const int64_t count = model.n_experts / ranks;
  return {division.rank * count, count};
}

void require_expert_ranks(const TrainConfig& config, int64_t ranks) {
  if (ranks % config.expert_ranks == 0) return;
  fail(ErrorKind::usage,
       strprintf("train.expert_ranks = %d does not divide the number of ranks, %d.",
                 config.expert_ranks, ranks),
       strprintf("Start a multiple of %d ranks, or give each all experts with "
                 "--set train.expert_ranks=1",
                 config.expert_ranks));
}

int64_t numbers_elsewhere(const Config& config, int64_t ranks) {
  Whole numbers;
  for (const TensorDeclaration& tensor : declared_tensors(config.model)) {
    numbers += tensor.numel() - holders_of(config, tensor, ranks).numel;
  }
  return numbers.value();
}

int64_t exchanged_rows(const Config& config) {
  return config.train.expert_ranks > 1 ? 2 * config.model.n_experts_per_tok : 0;
}

}  // namespace mythos
