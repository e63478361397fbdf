#pragma once
#include <vector>

#include "model/weights.h"

namespace mythos {

// Moves every router bias of the core towards even load without an auxiliary loss (DeepSeek-V3,
// 2024, section 2.1.2): bias += rate·sign(mean load − load). Then it subtracts the mean of the
// bias, which would drift away though no choice of experts depends on it. `expert_load` has for
// each core layer [E] the loads of ForwardResult summed over a step. If `skipped` [] fp32 is
// defined and not 0, nothing moves; nor does the bias of a router that is not trained, nor any
// with a rate of 0. Nothing waits for the device.
void balance_router_bias(const ModelConfig& config, const Parameters& parameters,
                         const std::vector<Tensor>& expert_load, double rate,
                         const Tensor& skipped = {});

}  // namespace mythos
