#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "config/config.h"
#include "data/sample/sampler.h"
#include "model/model.h"
#include "train/depth_groups.h"

namespace mythos {

// The results of a pass over a step's micro-batches, besides the gradients in the parameters. The
// tensors lie on the parameters' device, which nothing waits for.
struct StepResult {
  Tensor nats;  // [] fp64, sum of the targets' cross-entropy
  // The sums of the objective's terms and of the depths at which positions halted
  // (train/objectives.h), fp64.
  Tensor terms, depth;
  Tensor
      depth_run;  // [1] fp64, the sum over the positions of `depth` of loops computed; [0] if none
  // The load of the experts [E] of each core layer, over the positions that have a target; empty
  // without experts.
  std::vector<Tensor> expert_load;
};

// What is called around every group's pass, where ranks share weights: before these are read, once
// the pass has weights made of them, and behind its backward pass; and how it reaches experts that
// other ranks hold, null where this one has all.
struct PassCalls {
  std::function<void()> before;
  std::function<void(const Weights& weights)> made;
  std::function<void()> after;
  BlockWatch* blocks = nullptr;  // told when the pass reads a block's weights
  ExpertExchange* experts = nullptr;
};

// Runs all groups of a step forward and backward. The objective is the sum of
// the configuration's terms (train/objectives.h), which are means over the step's `targets`
// targets. Its gradients, in fp32, are added to those that the
// parameters hold. If `loss_scale` [] fp32 is defined, they are those of loss_scale times the
// objective. Neither padding nor how positions are spread over sequences and groups changes the
// result. `before_last` is called before the backward pass of the last group, which completes the
// gradients.
StepResult forward_backward(const Config& config, const Parameters& parameters,
                            const std::vector<DepthGroup>& groups, int64_t targets,
                            at::ScalarType compute_type, const Tensor& loss_scale = {},
                            const std::function<void()>& before_last = {},
                            const PassCalls& passes = {});
// With the same number of loops for all sequences.
StepResult forward_backward(const Config& config, const Parameters& parameters,
                            const std::vector<Batch>& micro_batches, int64_t targets, int64_t loops,
                            at::ScalarType compute_type, const Tensor& loss_scale = {});

// The number of targets (those ≥ 0), and the bytes of text that they stand for.
struct TargetCount {
  int64_t targets = 0, bytes = 0;
};
TargetCount count_targets(const std::vector<Batch>& micro_batches,
                          const std::vector<int32_t>& byte_lengths);

}  // namespace mythos
