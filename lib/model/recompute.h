#pragma once
#include <functional>
#include <vector>

#include "model/weights.h"

namespace mythos {

// Part of a forward pass as a function of everything in it that may carry a gradient. `again` tells
// the run of the backward pass, which must compute the same and leave other side effects out.
using Segment = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs, bool again)>;

// segment(inputs) without its intermediate results, which the backward pass computes again (Chen et
// al. 2016). Inputs may be undefined, outputs may not, and none may be an input itself. Shared
// weights (ops/linear/weight.h) among the inputs keep their sum.
std::vector<Tensor> recomputed(const Segment& segment, const std::vector<Tensor>& inputs);

}  // namespace mythos
