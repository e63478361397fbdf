#pragma once
#include "eval/likelihood.h"
#include "infer/engine/decoder.h"

namespace mythos {

// The likelihood as evaluate() gives it, but computed as text is generated: each window is decoded
// token by token, with windows side by side as rows of one step, so that rounded weights, a rounded
// or shared cache and early exits have their effect. An options.batch_size of 0 means
// Decoder::kMaxRows windows.
Likelihood evaluate_decode(Decoder& decoder, const ShardDirectory& data,
                           const std::vector<int32_t>& byte_lengths,
                           const LikelihoodOptions& options);

}  // namespace mythos
