#include "train/step.h"

#include <ATen/ATen.h>

#include "config/loop_distribution.h"
#include "train/objectives.h"

namespace mythos {
namespace {

// Numbers as a tensor of this shape on the device. For a CUDA device they go through pinned memory,
// so that the copy overlaps with the device's work; on the CPU the tensor shares their memory.
template <class T>
Tensor to_device(const std::vector<T>& values, at::IntArrayRef shape, at::Device device) {
  Tensor tensor =
      at::from_blob(const_cast<T*>(values.data()), shape, c10::CppTypeToScalarType<T>::value);
  return device.is_cpu() ? tensor : tensor.pin_memory().to(device, /*non_blocking=*/true);
}
// A batch's numbers [B,S].
template <class T>
Tensor to_device(const std::vector<T>& values, const Batch& batch, at::Device device) {
  return to_device(values, {batch.batch_size, batch.seq_len}, device);
}

void add_loads(std::vector<Tensor>& sums, const std::vector<Tensor>& loads) {
  if (sums.empty()) sums.resize(loads.size());
  for (size_t i = 0; i < loads.size(); ++i) {
    const Tensor load = loads[i].detach().to(at::kDouble);
    sums[i] = sums[i].defined() ? sums[i] + load : load;
  }
}

}  // namespace

TargetCount count_targets(const std::vector<Batch>& micro_batches,
                          const std::vector<int32_t>& byte_lengths) {
  TargetCount count;
  for (const Batch& batch : micro_batches) {
    for (const int64_t target : batch.targets) {
      if (target < 0) continue;
      ++count.targets;
      count.bytes += byte_lengths.at(static_cast<size_t>(target));
    }
  }
  return count;
}

StepResult forward_backward(const Config& config, const Parameters& parameters,
                            const std::vector<DepthGroup>& groups, int64_t targets,
                            at::ScalarType compute_type, const Tensor& loss_scale,
                            const std::function<void()>& before_last, const PassCalls& passes) {
  const auto device = parameters.items().front().tensor.device();
  ForwardOptions options;
  options.grad_loops = backprop_loops(config);
  options.recompute = config.train.recompute;
  options.blocks = passes.blocks;
  options.experts = passes.experts;
  options.count_experts = config.model.ffn == FeedForward::moe;
  Objectives objectives(config, targets, device);
  options.collect = objectives.collect();
  StepResult out;
  for (const DepthGroup& group : groups) {
    const Batch& batch = group.batch;
    if (passes.before) passes.before();
    options.loops = group.loops;
    options.state_seeds = group.state_seeds.empty()
                              ? Tensor()
                              : to_device(group.state_seeds, {batch.batch_size}, device);
    const Weights weights = make_weights(config.model, parameters, compute_type);
    if (passes.made) passes.made(weights);
    const Tensor inputs = to_device(batch.inputs, batch, device);
    const Tensor expected = to_device(batch.targets, batch, device);
    options.counted = expected.ge(0);
    options.document_begins =
        batch.document_begins.empty() ? Tensor() : to_device(batch.document_begins, batch, device);
    const ForwardResult result = forward(config.model, weights, inputs, options);
    const Tensor objective = objectives.add(weights, result, expected, group.loops, loss_scale);
    if (before_last && &group == &groups.back()) before_last();
    // Without trained tensors on the way there is nothing to do.
    if (objective.requires_grad()) objective.backward();
    if (passes.after) passes.after();
    if (options.count_experts) add_loads(out.expert_load, result.expert_load);
  }
  out.nats = objectives.nats();
  out.terms = objectives.terms();
  out.depth = objectives.depth();
  out.depth_run = objectives.depth_run();
  return out;
}

StepResult forward_backward(const Config& config, const Parameters& parameters,
                            const std::vector<Batch>& micro_batches, int64_t targets, int64_t loops,
                            at::ScalarType compute_type, const Tensor& loss_scale) {
  std::vector<DepthGroup> groups;
  for (const Batch& batch : micro_batches) groups.push_back({batch, loops});
  return forward_backward(config, parameters, groups, targets, compute_type, loss_scale);
}

}  // namespace mythos
