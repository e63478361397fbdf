#pragma once
#include <cstdint>
#include <vector>

#include "config/config.h"
#include "data/sample/sampler.h"
#include "model/model.h"

namespace mythos {

// What one pass over a step's micro-batches leaves, besides the gradients in the parameters.
// Tensors lie on the parameters' device and are not waited for.
struct StepResult {
  Tensor nats;  // [] fp64, sum of the targets' cross-entropy
  // Per core layer [E], of the positions with a target; empty without balancing.
  std::vector<Tensor> expert_load;
};

// Forward and backward of all micro-batches of one step. The objective is the mean cross-entropy of
// the step's `targets` targets, plus ponder_cost times the mean ponder of the positions that have
// them where the model halts; its gradients, in fp32, are added to those that the parameters hold.
// Padding and how positions are spread over sequences and micro-batches change none of it. The
// gradients are those of `loss_scale` [] fp32 times the objective where it is defined.
StepResult forward_backward(const Config& config, const Parameters& parameters,
                            const std::vector<Batch>& micro_batches, int64_t targets, int64_t loops,
                            at::ScalarType compute_type, const Tensor& loss_scale = {});

// Targets that count (≥ 0), and the bytes of text that they stand for.
struct TargetCount {
  int64_t targets = 0, bytes = 0;
};
TargetCount count_targets(const std::vector<Batch>& micro_batches,
                          const std::vector<int32_t>& byte_lengths);

}  // namespace mythos
