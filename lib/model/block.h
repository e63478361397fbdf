#pragma once
#include "model/attention.h"

namespace mythos {

// Feed-forward of normalised x [B,S,D]: dense SwiGLU, or a mixture of experts (DeepSeekMoE, Dai et
// al. 2024) when the layer has a router. Where `load` is defined, [E] fp32, the tokens that each
// expert received are added to it, those of `counted` [B,S] bool if that is defined.
Tensor feed_forward(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
                    const Tensor& load, const Tensor& counted = {});

// Pre-norm transformer block: x += attention(norm x); x += feed_forward(norm x). x [B,S,D] in the
// compute type.
Tensor block(const ModelConfig& config, const LayerWeights& w, const Tensor& x,
             const AttentionContext& context, int64_t slot, const Tensor& load = {},
             KeptKeys* kept = nullptr);

}  // namespace mythos
