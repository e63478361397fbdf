#include "train/step.h"

#include <ATen/ATen.h>

namespace mythos {
namespace {

// A batch's numbers as a tensor [B,S] on the device. For a CUDA device they go through pinned
// memory, so that the copy overlaps with the device's work; on the CPU the tensor shares the
// batch's memory.
template <class T>
Tensor to_device(const std::vector<T>& values, const Batch& batch, at::Device device) {
  Tensor tensor = at::from_blob(const_cast<T*>(values.data()), {batch.batch_size, batch.seq_len},
                                c10::CppTypeToScalarType<T>::value);
  return device.is_cpu() ? tensor : tensor.pin_memory().to(device, /*non_blocking=*/true);
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
                            const std::vector<Batch>& micro_batches, int64_t targets, int64_t loops,
                            at::ScalarType compute_type, const Tensor& loss_scale) {
  const auto device = parameters.items().front().tensor.device();
  ForwardOptions options;
  options.loops = loops;
  options.recompute = config.train.recompute;
  options.count_experts = config.model.ffn == FeedForward::moe && config.train.balance_rate > 0;
  StepResult out;
  out.nats = at::zeros({}, at::dtype(at::kDouble).device(device));
  for (const Batch& batch : micro_batches) {
    const Weights weights = make_weights(config.model, parameters, compute_type);
    const Tensor inputs = to_device(batch.inputs, batch, device);
    const Tensor expected = to_device(batch.targets, batch, device);
    options.counted = expected.ge(0);
    options.document_begins =
        batch.document_begins.empty() ? Tensor() : to_device(batch.document_begins, batch, device);
    const ForwardResult result = forward(config.model, weights, inputs, options);
    const Tensor loss =
        loss_sum(weights, result.hidden, expected, 1.0 / static_cast<double>(targets), loss_scale);
    Tensor objective = loss;
    if (result.ponder.defined() && config.objectives.ponder_cost > 0) {
      Tensor ponder = result.ponder.masked_fill(expected.lt(0), 0).sum() *
                      (config.objectives.ponder_cost / static_cast<double>(targets));
      if (loss_scale.defined()) ponder = ponder * loss_scale;
      objective = objective + ponder;
    }
    objective.backward();
    Tensor nats = loss.detach().to(at::kDouble) * static_cast<double>(targets);
    if (loss_scale.defined()) nats = nats / loss_scale;
    out.nats += nats;
    if (options.count_experts) add_loads(out.expert_load, result.expert_load);
  }
  return out;
}

}  // namespace mythos
