#pragma once
#include "model/block.h"
#include "model/model.h"

namespace mythos {

// The recurrent core: T loops from the prelude output x [B,S,D] in the compute type. Returns the
// state for the coda, [B,S,D] fp32, and fills what `options` asks for in `result`.
Tensor recurrent_core(const ModelConfig& config, const Weights& w, const Tensor& x,
                      const AttentionContext& context, int64_t loops, const ForwardOptions& options,
                      ForwardResult& result);

// Marks of all loop indices, [T,D] fp32: a sinusoid of the index on the first channels, 0
// elsewhere.
Tensor loop_marks(const ModelConfig& config, int64_t loops, at::Device device);

// What a ZOH injection multiplies its drive B·e by, [D] fp32: the exact zero-order hold.
Tensor zoh_gain(const Weights& w);

}  // namespace mythos
