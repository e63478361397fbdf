#pragma once
#include <torch/types.h>

#include <vector>

namespace mythos::cpu {

// Token slots in expert order: a stable counting sort of experts [N,k].
struct Routing {
  torch::Tensor slot;          // [N·k] int64: place in the flattened experts
  torch::Tensor token;         // [N·k] int64: slot / k
  std::vector<int64_t> begin;  // [E+1] first place of each expert
};
Routing route(const torch::Tensor& experts, int64_t expert_count);

// out[token[i]] += rows[i] for the first `count` rows, those of one expert. out [N,D]; token int64;
// rows [·,D] in out's type.
void scatter_add_rows(const torch::Tensor& out, const torch::Tensor& token,
                      const torch::Tensor& rows, int64_t count);

}  // namespace mythos::cpu
