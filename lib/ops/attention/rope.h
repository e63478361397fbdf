#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

#include "config/model_config.h"

namespace mythos {

// The cos and sin [S, d/2] fp32 of the rotary angles position·theta^(-2i/d) of positions first …
// first+S-1 (Su et al. 2021). They are computed for the length in use and never stored in a
// checkpoint.
std::pair<at::Tensor, at::Tensor> rope_table(int64_t first, int64_t length, int64_t dim,
                                             double theta, at::Device device);
// Rotates the channel pairs (2i, 2i+1), or (i, i+R/2) with RopePairing::halves, of the last
// R = 2·cos.size(1) channels of each head; those before pass unchanged (multi-head latent attention
// rotates only a part). x [B,S,H,d], cos and sin [S,R/2]; result in x's type.
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                RopePairing pairing);
at::Tensor rope_reference(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                          RopePairing pairing);

}  // namespace mythos
