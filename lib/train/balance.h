#pragma once
#include <vector>

#include "model/weights.h"

namespace mythos {

// Moves every router bias of the core towards even load without an auxiliary loss (DeepSeek-V3,
// 2024, section 2.1.2): bias += rate·sign(mean load − load), then less its mean, which would drift
// away though no choice of experts depends on it. `expert_load` is ForwardResult's, summed over a
// step: per core layer [E]. Where `skipped` [] fp32 is defined and not 0 nothing moves. Nothing
// waits for the device.
void balance_router_bias(const ModelConfig& config, const Parameters& parameters,
                         const std::vector<Tensor>& expert_load, double rate,
                         const Tensor& skipped = {});

}  // namespace mythos
