#include "train/balance.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace mythos {

void balance_router_bias(const ModelConfig& config, const Parameters& parameters,
                         const std::vector<Tensor>& expert_load, double rate,
                         const Tensor& skipped) {
  if (rate == 0) return;
  const at::NoGradGuard no_grad;
  const auto core = parameters.tree(config).core;
  for (size_t layer = 0; layer < expert_load.size(); ++layer) {
    const Tensor load = expert_load[layer].to(at::kDouble);
    const Tensor& bias = core.layers[layer].moe.router_bias;  // the stored buffer itself
    if (!core.layers[layer].moe.router.requires_grad()) continue;
    const Tensor before = bias.to(at::kDouble);
    const Tensor moved = before + rate * at::sign(load.mean() - load);
    const Tensor centred = moved - moved.mean();
    bias.copy_(skipped.defined() ? at::where(skipped.gt(0), before, centred) : centred);
  }
}

}  // namespace mythos
