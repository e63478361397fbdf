#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace mythos {

// How random first states are drawn for decoding: the seed of every sequence, and a factor of the
// configuration's deviation; with 0 the states are zero.
struct StateDraw {
  int64_t seed = 0;
  double scale = 1;
};

// Random first states h_0 of the recurrence (model.initial_state = random; Geiping et al. 2025,
// section 3.1): each channel is drawn from a normal distribution with the deviation std, cut at
// ±3·std as Huginn cuts it. A number is a function of (seed, position in the document, channel)
// alone, by counters that are hashed, so that decoding from a cache starts a token from the state
// that a pass over the whole sequence gives it, and a packed document has the states that it has
// alone.
//
// seeds [B] int32, of B sequences; positions [S] or [B,S] int32 → [B,S,channels] fp32 on their
// device, without gradient.
at::Tensor initial_states(const at::Tensor& seeds, const at::Tensor& positions, int64_t channels,
                          double std);

}  // namespace mythos
