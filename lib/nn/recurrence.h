#pragma once
#include "nn/block.h"
#include "nn/model.h"

namespace mythos {

// The recurrent core: T loops from the prelude output x [B,S,D] in the compute type. Returns the
// state for the coda, [B,S,D] fp32, and fills what `options` asks for in `result`.
Tensor recurrent_core(const ModelConfig& config, const Weights& w, const Tensor& x,
                      const AttentionContext& context, int64_t loops, const ForwardOptions& options,
                      ForwardResult& result);

}  // namespace mythos
