#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace mythos::cpu {

// The token slots of experts [N,k] int64, sorted by expert.
struct Routing {
  at::Tensor token;               // [R] int64: token of each row
  at::Tensor slot;                // [R] int64: index in the flattened experts; -1 for padding
  at::Tensor row;                 // [N·k] int64: row of each slot
  at::Tensor expert;              // [N·k] int64: expert of each slot
  std::vector<int64_t> begin;     // [E+1] first row of each expert
  int64_t experts_per_token = 0;  // k

  int64_t count(int64_t e) const { return begin[e + 1] - begin[e]; }
  // The rows of one expert in rows [R,...].
  at::Tensor part(const at::Tensor& rows, int64_t e) const {
    return rows.narrow(0, begin[e], count(e));
  }
};
// Sorts the slots by expert. The rows of an expert that has more than `step` are padded to a
// multiple of `step` by rows of token 0 and weight 0, so that oneDNN, which prepares a kernel for
// each new shape, meets few shapes.
Routing route(const at::Tensor& experts, int64_t expert_count, int64_t step = 32);

// x [N,D] → [R,D], the row of each token in `routing`.
at::Tensor gather_rows(const at::Tensor& x, const Routing& routing);
// weights [N,k] fp32 → [R], 0 for padding.
at::Tensor gather_weights(const at::Tensor& weights, const Routing& routing);
// The reverse of gather_weights(), [R] → [N,k].
at::Tensor scatter_weights(const at::Tensor& rows, const Routing& routing);
// The sum of each token's rows in fp32, rounded once. `parts` are the rows [rows,D] of each expert,
// undefined for an expert without rows. Result [N,D] in their type.
at::Tensor combine_rows(const std::vector<at::Tensor>& parts, const Routing& routing,
                        const at::TensorOptions& options, int64_t width);

}  // namespace mythos::cpu
