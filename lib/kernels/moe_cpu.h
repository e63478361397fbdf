#pragma once
#include <torch/types.h>

#include <vector>

namespace mythos::cpu {

// The token slots of experts [N,k] int64, sorted by expert.
struct Routing {
  torch::Tensor token;            // [R] int64: token of each row
  torch::Tensor slot;             // [R] int64: its place in the flattened experts; -1 for padding
  torch::Tensor row;              // [N·k] int64: row of each slot
  torch::Tensor expert;           // [N·k] int64: expert of each slot
  std::vector<int64_t> begin;     // [E+1] first row of each expert
  int64_t experts_per_token = 0;  // k

  int64_t count(int64_t e) const { return begin[e + 1] - begin[e]; }
  // The part of one expert in rows [R,...].
  torch::Tensor part(const torch::Tensor& rows, int64_t e) const {
    return rows.narrow(0, begin[e], count(e));
  }
};
// Each expert's rows are brought to a multiple of `step` where they are more than that, by rows of
// token 0 and weight 0: products by oneDNN then meet few shapes, for it prepares a kernel for each
// shape that it has not seen.
Routing route(const torch::Tensor& experts, int64_t expert_count, int64_t step = 32);

// x [N,D] → [R,D], the row of each token in `routing`.
torch::Tensor gather_rows(const torch::Tensor& x, const Routing& routing);
// weights [N,k] fp32 → [R], 0 for padding.
torch::Tensor gather_weights(const torch::Tensor& weights, const Routing& routing);
// Its reverse, [R] → [N,k].
torch::Tensor scatter_weights(const torch::Tensor& rows, const Routing& routing);
// The sum of each token's rows in fp32, rounded once. parts: [rows,D] of each expert, undefined for
// one without rows. Result [N,D] in their type.
torch::Tensor combine_rows(const std::vector<torch::Tensor>& parts, const Routing& routing,
                           const torch::TensorOptions& options, int64_t width);

}  // namespace mythos::cpu
