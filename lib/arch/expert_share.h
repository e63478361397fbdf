#pragma once
#include <cstdint>

#include "arch/declaration.h"
#include "config/config.h"

// Expert parallelism (Lepikhin et al. 2021, GShard): train.expert_ranks neighbouring ranks hold the
// routed experts of every mixture together, each n_experts/expert_ranks of them, and everything
// else whole. Ranks r, r + expert_ranks, r + 2·expert_ranks, … hold the same experts.
namespace mythos {

// Whether ranks hold different parts of the tensor, whose first dimension is the experts.
inline bool is_of_experts(const TensorDeclaration& tensor) {
  return tensor.use == Use::experts;
}

// The experts begin … begin+count-1.
struct ExpertShare {
  int64_t begin = 0, count = 0;
};
ExpertShare expert_share(const Config& config, int64_t rank);

// Ranks that divide the experts of a model which they do not train (--expert-ranks).
struct ExpertDivision {
  int64_t ranks = 1, rank = 0;
};
// The experts that this rank holds. Fails (usage) where the model has none, or not a multiple of
// the number of ranks.
ExpertShare expert_share(const ModelConfig& model, const ExpertDivision& division);

// How many of `ranks` ranks hold the same numbers of a tensor, and how many numbers that are.
struct Holders {
  int64_t ranks = 1, numel = 0;
};
Holders holders_of(const Config& config, const TensorDeclaration& tensor, int64_t ranks);

// Fails (usage) unless train.expert_ranks divides the number of ranks.
void require_expert_ranks(const TrainConfig& config, int64_t ranks);

// The numbers of the experts that each of `ranks` ranks leaves to others.
int64_t numbers_elsewhere(const Config& config, int64_t ranks);

// The rows of a token for one layer in one loop that are kept for the backward pass because experts
// are elsewhere: those that come and their results, if all experts are chosen equally often.
int64_t exchanged_rows(const Config& config);

}  // namespace mythos
